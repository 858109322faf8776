"""The start of a run: anew, or from a checkpoint."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from conf.schema import TrainConfig
from launch.run.answers import BENCHMARK, answers_file
from launch.run.folder import AUTO, CHAIN, METRICS, plain
from launch.run.members import SUMMARY, read_summary
from launch.run.model_folder import model_folder
from launch.run.rows import read_rows
from rl.checkpoints import (
    FOLDER,
    RECORD,
    Checkpoint,
    clear_unfinished,
    newest_whole,
    read_checkpoint,
    read_intact,
    set_aside,
    step_folders,
    step_of,
)
from rl.data.photos import PREDICTIONS
from rl.epochs import claim_epoch
from rl.evaluation.kept_maps import kept_files
from rl.faults import UserError, of_file
from rl.seals import changed

Reading = Callable[[Path], Checkpoint]
LEARNING = ("algo", "reward", "rollout", "localize")
"""Sections of the config that decide what a step learns; a checkpoint does not bring them along."""


def find_start(config: TrainConfig, folder: Path, say: Callable[[str], None]) -> Checkpoint | None:
    """Return the checkpoint to go on from, None to start anew; raise a UserError if two runs would mix in a folder."""
    holds_run = _holds_run(folder)
    if not config.resume:
        if holds_run:
            raise UserError(f"output={folder} holds a run; resume=auto goes on with it, or give another folder")
        return None
    if config.resume == AUTO:
        start = _newest(folder, say)
        if start is None and step_folders(folder):
            raise UserError(
                f"output={folder}: none of its checkpoints can be read, as said above; start anew in another folder"
            )
        if start is None and holds_run:
            say(f"{folder} has no checkpoint; the run starts anew")
    else:
        start = _named(Path(config.resume), say)
        _check_branch(folder, start, holds_run)
    if start:
        _check_metrics(start)
    if start and start.record.progress.step > config.num_steps:
        raise UserError(
            f"{start.folder} is at step {start.record.progress.step}, past num_steps={config.num_steps}; raise "
            "num_steps or resume from an earlier checkpoint"
        )
    return start


def with_first_model(config: TrainConfig, folder: Path) -> TrainConfig:
    """Return the config of a resumed run with the model that it started from, if model.path names the run it lies in.

    That run may have newer checkpoints by now; a chain may have made another model.
    """
    typed = config.model.path
    if not config.resume or model_folder(typed) == typed:
        return config
    # Of the record alone the model is wanted; find_start reads the rest.
    if config.resume == AUTO:
        start = _newest(folder, _mute, read_checkpoint)
    else:
        start = _named(Path(config.resume), _mute, read_checkpoint)
    first = Path(start.record.config["model"]["path"]) if start else None
    if first is None or not first.is_relative_to(Path(typed).resolve()):
        return config
    return replace(config, model=replace(config.model, path=str(first)))


def check_first_model(config: TrainConfig) -> None:
    """Raise a UserError if the model that a resumed run started from was removed; an adapter is merged later."""
    path = Path(config.model.path)
    if config.resume and path.is_absolute() and not path.is_dir() and not (path.parent / RECORD).is_file():
        raise UserError(
            f"model.path={path}: there is no such folder; bring back the model that the run to be resumed started "
            "from, or start anew in another output="
        )


def take_over(folder: Path) -> int:
    """Claim the folder, in which no other process can commit a checkpoint from now on; return the epoch."""
    epoch = claim_epoch(folder)
    clear_unfinished(folder)
    return epoch


def prepare(folder: Path, start: Checkpoint | None, say: Callable[[str], None]) -> None:
    """Leave in the folder what the run had recorded when the checkpoint was taken, and nothing later."""
    for later in step_folders(folder):
        # Later ones are damaged, otherwise the run would start from them.
        if start is None or step_of(later) > step_of(start.folder):
            set_aside(later)
            say(f"{later} is set aside as {later.name}.damaged; remove it once nobody needs it")
    origin = start.folder.parent.parent if start else folder
    if start and origin.resolve() != folder.resolve():
        shutil.copy(origin / METRICS, folder / METRICS)
        first = answers_file(origin, BENCHMARK, 0)
        answers_file(folder, BENCHMARK, 0).parent.mkdir(exist_ok=True)
        if first.exists():
            shutil.copy(first, answers_file(folder, BENCHMARK, 0))
        for maps in kept_files(origin):
            shutil.copy(maps, folder / maps.relative_to(origin))
    for name in changed(folder, start.record.beside) if start else ():
        aside = (folder / name).with_name(f"{(folder / name).name}.damaged")
        say(f"{folder / name} is not what was written; it is set aside as {aside.name}, and the report goes without it")
        (folder / name).rename(aside)
    with of_file(folder / METRICS), (folder / METRICS).open("ab") as file:
        file.truncate(start.record.metrics_bytes if start else 0)
    (folder / SUMMARY).unlink(missing_ok=True)


def finished(folder: Path, start: Checkpoint | None, num_steps: int) -> dict[str, Any] | None:
    """Return the summary of a run that has nothing left to do; None for any other."""
    if start is None or start.record.progress.step < num_steps:
        return None
    summary = read_summary(folder)
    done = "failed" not in summary and "stopped" not in summary and summary.get("steps") == num_steps
    return summary if done else None


def changes(start: Checkpoint, config: TrainConfig) -> list[str]:
    """Name the values of LEARNING that differ from those of the run that wrote the checkpoint."""
    before, now = _learning(start.record.config), _learning(plain(config))
    return [
        f"{name} was {before.get(name)} in the run of {start.folder} and is {value} from here on"
        for name, value in now.items()
        if before.get(name) != value
    ]


def how_to_resume(folder: Path, start: Checkpoint | None, *, made_steps: bool) -> str:
    """Say what to type after a run that began at `start` has ended early, `made_steps` if it made a training step."""
    newest, _ = newest_whole(folder)
    if (folder.parent / CHAIN).exists():
        place = newest.folder if newest else f"the start of {folder.name}"
        return f"the same command with resume=auto output={folder.parent} goes on from {place}"
    if newest:
        return f"the same command with resume=auto output={folder} goes on from {newest.folder}"
    if made_steps:
        return f"{folder} has no checkpoint yet; checkpoint.every=N writes one every N steps"
    return f"nothing is lost: {_how_to_start_again(folder, start)}"


def _how_to_start_again(folder: Path, start: Checkpoint | None) -> str:
    """Say what to type after a run that made no step: find_start refuses a folder with an evaluation in it."""
    if not _holds_run(folder):
        return "the same command starts anew"
    if start:
        return f"the same command with a new output= starts again from {start.folder}"
    return f"the same command with resume=auto output={folder} starts anew"


def how_to_go_on(folder: Path) -> str:
    """Return the override with which unfinished pairs go on; their folder may be that of a stage."""
    return f"resume=auto output={folder.parent}" if (folder.parent / CHAIN).exists() else f"output={folder}"


def _learning(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the seed and the values of LEARNING by dotted key."""
    sections = {f"{part}.{name}": value for part in LEARNING for name, value in config.get(part, {}).items()}
    return {"seed": config["seed"], **sections}


def _holds_run(folder: Path) -> bool:
    if (folder / CHAIN).exists():
        raise UserError(f"output={folder} holds a chain; name its stages, or give another folder")
    if (folder / PREDICTIONS).exists():
        raise UserError(f"output={folder} holds predictions; give another folder")
    metrics = folder / METRICS
    return metrics.exists() and metrics.stat().st_size > 0 or bool(step_folders(folder))


def _newest(run: Path, say: Callable[[str], None], read: Reading = read_intact) -> Checkpoint | None:
    start, faults = newest_whole(run, read)
    for fault in faults:
        say(f"passed over: {fault}")
    return start


def _mute(sentence: str) -> None:
    """Leave a sentence to find_start, which says it."""


def _named(path: Path, say: Callable[[str], None], read: Reading = read_intact) -> Checkpoint:
    if not (path / FOLDER).is_dir():
        return read(path)
    start = _newest(path, say, read)
    if start is None:
        raise UserError(f"resume={path}: no checkpoint of that run is whole; start anew without resume=")
    return start


def _check_metrics(start: Checkpoint) -> None:
    metrics, wanted = start.folder.parent.parent / METRICS, start.record.metrics_bytes
    found = metrics.stat().st_size if metrics.is_file() else 0
    if found < wanted:
        raise UserError(
            f"{metrics}: {found} bytes of the {wanted} that {start.folder.name} had recorded; bring the file back, or "
            "start anew in another folder"
        )
    if read_rows(metrics.parent, wanted).chain != start.record.metrics_chain:
        raise UserError(
            f"{metrics}: not the rows that {start.folder.name} had recorded; bring the file back, or start anew in "
            "another folder"
        )


def _check_branch(folder: Path, start: Checkpoint, holds_run: bool) -> None:
    """Refuse to go back within a folder: later checkpoints of the old branch would stay beside the new ones."""
    if folder.resolve() != start.folder.parent.parent.resolve():
        if holds_run:
            raise UserError(f"output={folder} holds another run than {start.folder}; give a new folder")
        return
    later = [step_of(other) for other in step_folders(folder) if step_of(other) > step_of(start.folder)]
    if later:
        raise UserError(
            f"{folder} has later checkpoints than {start.folder.name}, up to step_{max(later)}; give another output= "
            "to branch off, or resume=auto"
        )
