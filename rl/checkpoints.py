"""The checkpoints of a run folder: which are whole, which is the newest, which may be deleted. No tensors here."""

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from secrets import token_hex
from typing import Any, TypeVar, get_origin

from rl.config import key
from rl.epochs import check_epoch
from rl.faults import UserError, of_file
from rl.seals import Seal, digest_fault, seal_all, size_fault, sync_folder

RECORD = "run.json"
SEALS = "seals.json"
"""File in MERGED with the seals of the other files there, which the record cannot know."""
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
    metrics_chain: str
    """Digest of metrics.jsonl up to there, which its last row holds; "" if it had no row."""
    epoch: int
    """Number of the process that trained, among all that went on with the run."""
    wandb_id: str
    """Id of the W&B run; "" if there is none."""
    data_hash: str
    config: dict[str, Any]
    """The run's config, with secrets replaced by stars."""
    model: str = ""
    """Fingerprint of the weights that the run started from; filled in by the learner."""
    beside: dict[str, Seal] = field(default_factory=dict)
    """Files of the run folder, other than metrics.jsonl, that a run which goes on reads, by relative path."""
    files: dict[str, Seal] = field(default_factory=dict)
    """Every other file of the checkpoint by relative path; filled in by `commit`."""


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A whole checkpoint."""

    folder: Path
    record: Record


T = TypeVar("T", Record, Progress, Seal)


def checkpoint_folder(run: Path, step: int) -> Path:
    return run / FOLDER / f"step_{step}"


def unfinished(folder: Path, epoch: int) -> Path:
    """Return the folder in which the checkpoint `folder` is written before it gets its name."""
    return folder.with_name(f".{folder.name}.epoch_{epoch}.unfinished")


def commit(folder: Path, record: Record, seals: Mapping[str, Seal] | None = None) -> None:
    """Write the record of a checkpoint that is otherwise written, then give it its name; so a named one is whole.

    `seals` are those of the files that others have sealed already. Refuse if a newer process has taken the run over.
    """
    written, known = unfinished(folder, record.epoch), dict(seals or {})
    inside = list(written.rglob("*"))
    files = [path for path in inside if path.is_file() and str(path.relative_to(written)) not in known]
    seals = known | seal_all(written, files)
    told = asdict(replace(record, files=seals)) | {WRITTEN_AT: round(time.time(), 3)}
    with of_file(written / RECORD), (written / RECORD).open("w", encoding="utf-8") as file:
        json.dump({**told, "sha256": _digest(told)}, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    for place in (written, *(path for path in inside if path.is_dir())):
        sync_folder(place)
    check_epoch(folder.parent.parent, record.epoch)
    if folder.exists():
        # A damaged checkpoint; the run has resumed from an earlier one.
        remove(folder)
    written.rename(folder)
    # The folder of checkpoints and the metrics may be as new as this one.
    for place in (folder.parent, folder.parent.parent):
        sync_folder(place)


def _digest(told: Mapping[str, Any]) -> str:
    """Return the digest of a record, whatever the spaces and the order of its file."""
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def read_checkpoint(folder: Path) -> Checkpoint:
    """Read and return a checkpoint; raise a UserError if it is not whole. Of its files only the sizes are compared."""
    record = _read_record(folder)
    _refuse(folder, size_fault(folder, record.files))
    return Checkpoint(folder=folder, record=record)


def read_intact(folder: Path) -> Checkpoint:
    """Read and return a checkpoint; raise a UserError if one byte of it is not what was written."""
    checkpoint = read_checkpoint(folder)
    _refuse(folder, digest_fault(folder, checkpoint.record.files))
    return checkpoint


def check_part(part: Path) -> None:
    """Raise a UserError if a checkpoint's folder of weights is not what was written; pass over any other folder."""
    folder = part.parent
    if not (folder / RECORD).is_file():
        return
    if part.name == MERGED:
        _check_merged(part)
        return
    seals = {name: seal for name, seal in _read_record(folder).files.items() if (folder / name).is_relative_to(part)}
    _refuse(folder, size_fault(folder, seals) or digest_fault(folder, seals))


def seal_merged(folder: Path) -> None:
    """Write the seals of a merged model beside its files."""
    seals = {
        name: asdict(seal)
        for name, seal in seal_all(folder, [path for path in folder.rglob("*") if path.is_file()]).items()
    }
    (folder / SEALS).write_text(json.dumps(seals, indent=1), encoding="utf-8")


def _check_merged(folder: Path) -> None:
    try:
        told = json.loads((folder / SEALS).read_text(encoding="utf-8"))
        seals = {name: _typed(Seal, seal) for name, seal in told.items()}
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(f"{folder / SEALS}: cannot be read ({error}); remove {folder}, it is made anew") from error
    fault = size_fault(folder, seals) or digest_fault(folder, seals)
    if fault:
        raise UserError(f"{folder}: {fault}; remove the folder, it is made anew")


def _refuse(folder: Path, fault: str) -> None:
    if fault:
        raise UserError(f"{folder}: the checkpoint is not whole, {fault}; take another one")


def _read_record(folder: Path) -> Record:
    path = folder / RECORD
    if not folder.exists():
        raise UserError(f"there is no folder '{folder}'; give a run folder or its checkpoints/step_N")
    if not path.is_file():
        raise UserError(f"{folder}: no checkpoint, it has no {RECORD}; give a run folder or its checkpoints/step_N")
    try:
        return _record(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(f"{path}: not a record of a checkpoint ({error}); take another checkpoint") from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); take another checkpoint") from error


def _record(told: dict[str, Any]) -> Record:
    if "sha256" not in told:
        raise ValueError("it has no digest; version 0.1 wrote none")
    if told.pop("sha256") != _digest(told):
        raise ValueError("its digest is that of another content")
    told.pop(WRITTEN_AT)
    seals = {part: {name: _typed(Seal, seal) for name, seal in told[part].items()} for part in ("beside", "files")}
    return _typed(Record, told | seals | {"progress": _typed(Progress, told["progress"])})


def _typed(kind: type[T], values: dict[str, Any]) -> T:
    """Return the dataclass of these values; raise a TypeError for a value of another type."""
    made = kind(**values)
    for each in fields(kind):
        wanted: Any = get_origin(each.type) or each.type
        value = getattr(made, each.name)
        if not isinstance(value, wanted):
            raise TypeError(f"{each.name} is {value!r}")
    return made


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


def newest_whole(
    run: Path, read: Callable[[Path], Checkpoint] = read_checkpoint
) -> tuple[Checkpoint | None, list[str]]:
    """Return the newest checkpoint of a run that `read` takes for whole, and for each newer one why it is not."""
    faults: list[str] = []
    for folder in reversed(step_folders(run)):
        try:
            return read(folder), faults
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
    """Delete the checkpoints that a killed run was writing or deleting.

    Learners that it left may still be writing, so a folder loses its name first. What they hold open may stay on a
    shared disk until the next start.
    """
    for folder in (run / FOLDER).glob(".step_*.unfinished"):
        folder.rename(folder.with_name(f"{folder.name}.{token_hex(4)}.removed"))
    for folder in (run / FOLDER).glob(".step_*.removed"):
        shutil.rmtree(folder, ignore_errors=True)
