"""The checkpoints of a run folder: which are whole, which is the newest, which may go. Files alone; no tensors."""

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rl.config import key
from rl.faults import UserError

RECORD = "run.json"
STATE = "state"
FOLDER = "checkpoints"


@dataclass(kw_only=True)
class CheckpointConfig:
    every: int = key(0, "Write a checkpoint every so many steps; 0 only at the end and when stopped.", ge=0)
    keep_last: int = key(2, "Newest checkpoints that are kept.", ge=1)
    keep_best: int = key(1, "Best checkpoints that are kept beside the newest.", ge=0)
    best_metric: str = key(
        "eval/heldout/accuracy", "Metric of metrics.jsonl, at the checkpoint's step, that says which is best."
    )


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a run has come."""

    step: int = 0
    """Training steps done."""
    position: int = 0
    """Samples taken from the stream."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """What a checkpoint says of its run, beside the learners' state: run.json."""

    progress: Progress
    policy_version: int
    metrics_bytes: int
    """Length of metrics.jsonl when it was taken."""
    wandb_id: str
    """"" when W&B recorded nothing."""
    data_hash: str
    config: dict[str, Any]
    """The run's config, secrets starred out."""
    model: str = ""
    """Fingerprint of the weights that the run started from; the learner adds it."""
    files: dict[str, int] = field(default_factory=dict)
    """Bytes of every other file of the checkpoint by its relative path, added at the end."""


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A whole checkpoint."""

    folder: Path
    record: Record


def checkpoint_folder(run: Path, step: int) -> Path:
    return run / FOLDER / f"step_{step}"


def unfinished(folder: Path) -> Path:
    """Where a checkpoint is written before it takes its name."""
    return folder.with_name(f".{folder.name}.unfinished")


def commit(folder: Path, record: Record) -> None:
    """Gives a written checkpoint its record and its name, in this order, so that a named one is whole."""
    written = unfinished(folder)
    sizes = {
        str(path.relative_to(written)): path.stat().st_size for path in sorted(written.rglob("*")) if path.is_file()
    }
    with (written / RECORD).open("w", encoding="utf-8") as file:
        json.dump(asdict(record) | {"files": sizes}, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    if folder.exists():
        # A damaged one that the run went back behind.
        remove(folder)
    written.rename(folder)
    parent = os.open(folder.parent, os.O_RDONLY)
    os.fsync(parent)
    os.close(parent)


def read_checkpoint(folder: Path) -> Checkpoint:
    """The checkpoint, or a UserError that says what it lacks."""
    path = folder / RECORD
    if not path.is_file():
        raise UserError(f"{folder}: no checkpoint, it has no {RECORD}; give a run folder or its checkpoints/step_N")
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        record = Record(**values | {"progress": Progress(**values["progress"])})
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: not a record of a checkpoint ({error}); resume from another checkpoint") from error
    for name, size in record.files.items():
        found = (folder / name).stat().st_size if (folder / name).is_file() else None
        if found != size:
            state = "is missing" if found is None else f"has {found} bytes of {size}"
            raise UserError(f"{folder}: the checkpoint is not whole, {name} {state}; resume from another one")
    return Checkpoint(folder=folder, record=record)


def step_folders(run: Path) -> list[Path]:
    """The named checkpoints of a run, oldest first."""
    found = [path for path in (run / FOLDER).glob("step_*") if path.name.removeprefix("step_").isdigit()]
    return sorted(found, key=step_of)


def step_of(folder: Path) -> int:
    return int(folder.name.removeprefix("step_"))


def newest_whole(run: Path) -> tuple[Checkpoint | None, list[str]]:
    """The newest whole checkpoint of a run, and why newer ones were passed over."""
    faults: list[str] = []
    for folder in reversed(step_folders(run)):
        try:
            return read_checkpoint(folder), faults
        except UserError as error:
            faults.append(str(error))
    return None, faults


def surplus(folders: Sequence[Path], scores: Mapping[int, float], config: CheckpointConfig) -> list[Path]:
    """Those that are neither among the newest nor among the best; a checkpoint without a score is no best one."""
    scored = [folder for folder in folders if step_of(folder) in scores]
    # Of equals the later is better.
    ranked = sorted(scored, key=lambda folder: (scores[step_of(folder)], step_of(folder)), reverse=True)
    kept = {*folders[-config.keep_last :], *ranked[: config.keep_best]}
    return [folder for folder in folders if folder not in kept]


def remove(folder: Path) -> None:
    """Takes the name away first, so that no half removed checkpoint looks whole."""
    doomed = folder.with_name(f".{folder.name}.removed")
    folder.rename(doomed)
    shutil.rmtree(doomed)


def set_aside(folder: Path) -> None:
    """Takes the name of a damaged one away, for someone to look into."""
    aside = folder.with_name(f"{folder.name}.damaged")
    if aside.exists():
        remove(aside)
    folder.rename(aside)


def clear_unfinished(run: Path) -> None:
    """Removes what a killed run was writing or removing."""
    for pattern in (".step_*.unfinished", ".step_*.removed"):
        for folder in (run / FOLDER).glob(pattern):
            shutil.rmtree(folder)
