"""The checkpoints of a run folder: which are whole, which is the newest, which may be deleted. No tensors here."""

import json
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rl.config import key
from rl.faults import UserError

RECORD = "run.json"
WRITTEN_AT = "written_at"
"""Field of a record, and of chain.json, with the Unix time at which it was written; copies change files' own times."""
STATE = "state"
FOLDER = "checkpoints"
WHOLE, ADAPTER, MERGED = "hf", "adapter", "merged"
"""Folders of a checkpoint: the model, unless only an adapter learned; the adapter; the model that is made of it."""


@dataclass(kw_only=True)
class CheckpointConfig:
    every: int = key(0, "Steps between checkpoints; 0 writes one only at the end and when the run is stopped.", ge=0)
    keep_last: int = key(2, "Number of newest checkpoints to keep.", ge=1)
    keep_best: int = key(1, "Number of best checkpoints to keep beside the newest.", ge=0)
    best_metric: str = key(
        "eval/heldout/accuracy",
        "Metric of metrics.jsonl that ranks the checkpoints, by its value at the checkpoint's step; higher is better.",
    )


@dataclass(frozen=True, kw_only=True)
class Progress:
    """The point that a run has reached."""

    step: int = 0
    """Training steps done."""
    position: int = 0
    """Samples taken from the stream."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """run.json of a checkpoint: everything about the run but the learners' state."""

    progress: Progress
    policy_version: int
    metrics_bytes: int
    """Length of metrics.jsonl when the checkpoint was taken."""
    wandb_id: str
    """Id of the W&B run; "" if there is none."""
    data_hash: str
    config: dict[str, Any]
    """The run's config, with secrets replaced by stars."""
    model: str = ""
    """Fingerprint of the weights that the run started from; filled in by the learner."""
    files: dict[str, int] = field(default_factory=dict)
    """Size in bytes of every other file of the checkpoint, by relative path; filled in by `commit`."""


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A whole checkpoint."""

    folder: Path
    record: Record


def checkpoint_folder(run: Path, step: int) -> Path:
    return run / FOLDER / f"step_{step}"


def unfinished(folder: Path) -> Path:
    """Return the folder in which the checkpoint `folder` is written before it gets its name."""
    return folder.with_name(f".{folder.name}.unfinished")


def commit(folder: Path, record: Record) -> None:
    """Write the record of a checkpoint that is otherwise written, then give it its name; so a named one is whole."""
    written = unfinished(folder)
    sizes = {
        str(path.relative_to(written)): path.stat().st_size for path in sorted(written.rglob("*")) if path.is_file()
    }
    with (written / RECORD).open("w", encoding="utf-8") as file:
        json.dump(asdict(record) | {"files": sizes, WRITTEN_AT: time.time()}, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    if folder.exists():
        # A damaged checkpoint; the run has resumed from an earlier one.
        remove(folder)
    written.rename(folder)
    parent = os.open(folder.parent, os.O_RDONLY)
    os.fsync(parent)
    os.close(parent)


def read_checkpoint(folder: Path) -> Checkpoint:
    """Read and return a checkpoint; raise a UserError if it is not whole."""
    path = folder / RECORD
    if not folder.exists():
        raise UserError(f"there is no folder '{folder}'; give a run folder or its checkpoints/step_N")
    if not path.is_file():
        raise UserError(f"{folder}: no checkpoint, it has no {RECORD}; give a run folder or its checkpoints/step_N")
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        values["progress"] = Progress(**values["progress"])
        values.pop(WRITTEN_AT, None)
        record = Record(**values)
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: not a record of a checkpoint ({error}); resume from another checkpoint") from error
    for name, size in record.files.items():
        found = (folder / name).stat().st_size if (folder / name).is_file() else None
        if found != size:
            state = "is missing" if found is None else f"has {found} bytes of {size}"
            raise UserError(f"{folder}: the checkpoint is not whole, {name} {state}; resume from another one")
    return Checkpoint(folder=folder, record=record)


def find_checkpoint(path: Path) -> Checkpoint:
    """Read the checkpoint at `path`, or the newest whole one if `path` is a run folder."""
    if not (path / FOLDER).is_dir():
        return read_checkpoint(path)
    newest, faults = newest_whole(path)
    if newest is None:
        raise UserError(f"{path}: no checkpoint of this run is whole ({'; '.join(faults) or 'there is none'})")
    return newest


def step_folders(run: Path) -> list[Path]:
    """Return the named checkpoints of a run, oldest first."""
    found = [path for path in (run / FOLDER).glob("step_*") if path.name.removeprefix("step_").isdigit()]
    return sorted(found, key=step_of)


def step_of(folder: Path) -> int:
    return int(folder.name.removeprefix("step_"))


def newest_whole(run: Path) -> tuple[Checkpoint | None, list[str]]:
    """Return the newest whole checkpoint of a run, and for each newer one why it is not whole."""
    faults: list[str] = []
    for folder in reversed(step_folders(run)):
        try:
            return read_checkpoint(folder), faults
        except UserError as error:
            faults.append(str(error))
    return None, faults


def surplus(folders: Sequence[Path], scores: Mapping[int, float], config: CheckpointConfig) -> list[Path]:
    """Return the checkpoints to delete: neither among the newest nor among the best, by their scores at each step.

    A checkpoint without a score is not among the best.
    """
    scored = [folder for folder in folders if step_of(folder) in scores]
    # Of two equal scores the later checkpoint ranks higher.
    ranked = sorted(scored, key=lambda folder: (scores[step_of(folder)], step_of(folder)), reverse=True)
    keep = {*folders[-config.keep_last :], *ranked[: config.keep_best]}
    return [folder for folder in folders if folder not in keep]


def remove(folder: Path) -> None:
    """Delete a checkpoint; rename it first, so that a half-deleted one never looks whole."""
    doomed = folder.with_name(f".{folder.name}.removed")
    folder.rename(doomed)
    shutil.rmtree(doomed)


def set_aside(folder: Path) -> None:
    """Rename a damaged checkpoint to *.damaged, where a person can inspect it and no run resumes from it."""
    aside = folder.with_name(f"{folder.name}.damaged")
    if aside.exists():
        remove(aside)
    folder.rename(aside)


def clear_unfinished(run: Path) -> None:
    """Delete the checkpoints that a killed run was writing or deleting."""
    for pattern in (".step_*.unfinished", ".step_*.removed"):
        for folder in (run / FOLDER).glob(pattern):
            shutil.rmtree(folder)
