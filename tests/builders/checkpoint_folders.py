"""Checkpoint folders without learners, committed by rl.checkpoints.commit."""

import json
from dataclasses import replace
from pathlib import Path

from rl.checkpoints import Progress, Record, checkpoint_folder, commit, unfinished

STATE_FILE = "state/rank_0.distcp"


def record(step: int, **changes: object) -> Record:
    known = Record(
        progress=Progress(step=step, position=3 * step),
        policy_version=step,
        metrics_bytes=0,
        metrics_chain="",
        epoch=1,
        wandb_id="",
        data_hash="data",
        config={"seed": 1},
    )
    return replace(known, **changes)


def write_unfinished(run: Path, step: int, content: bytes = b"weights", epoch: int = 1) -> Path:
    """Write the files of a checkpoint that is not yet committed; return its folder."""
    written = unfinished(checkpoint_folder(run, step), epoch)
    for path in (written / STATE_FILE, written / "hf/model.safetensors"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return written


def write_checkpoint(run: Path, step: int, content: bytes = b"weights", **changes: object) -> Path:
    write_unfinished(run, step, content)
    folder = checkpoint_folder(run, step)
    commit(folder, record(step, **changes))
    return folder


def dated(file: Path, written_at: object) -> None:
    """Have the record of a checkpoint or chain say when it was written; the file's own time says another one."""
    told = json.loads(file.read_text()) if file.exists() else {}
    file.write_text(json.dumps({**told, "written_at": written_at}))


def damage(folder: Path) -> None:
    """Truncate a state file, as a full disk or a killed machine would."""
    (folder / STATE_FILE).write_bytes(b"wei")


def names(run: Path) -> list[str]:
    """List the run's folder of checkpoints, with hidden names."""
    return sorted(path.name for path in (run / "checkpoints").iterdir())
