"""The folder of a run: its place, its lock and the names of its files."""

import fcntl
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from enum import Enum
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from launch.run.crash import CRASH
from rl.checkpoints import RECORD, WRITTEN_AT, step_folders
from rl.faults import UserError
from rl.files import replaced

AUTO = "auto"
CONFIG = "config.yaml"
METRICS = "metrics.jsonl"
REPORT = "report.html"
LOCK = ".lock"
CHAIN = "chain.json"
"""File of a folder whose runs are the stages of a chain."""
CLOCKS_DIFFER_S = 3600.0
"""Time by which another machine's clock may be ahead."""


@contextmanager
def run_folder(output: str) -> Iterator[Path]:
    """Lock the folder of a run for the block, made if need be, and drop its crash.txt; a refusal leaves no new one."""
    folder = Path(output)
    is_new = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / LOCK).open("w")
    except OSError as error:
        raise UserError(f"output={output}: cannot be written ({error.strerror}); give another folder") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UserError(
                f"output={output}: another process runs in it; wait for it or give another folder"
            ) from error
        (folder / CRASH).unlink(missing_ok=True)
        try:
            yield folder
        except UserError:
            # What was given is refused before anything began.
            if is_new and [path.name for path in folder.iterdir()] == [LOCK]:
                (folder / LOCK).unlink()
                folder.rmdir()
            raise


def write_json(path: Path, told: Mapping[str, Any] | Sequence[str]) -> None:
    write_whole(path, json.dumps(told, indent=1))


def write_whole(path: Path, text: str) -> None:
    """Write the whole file or nothing, even if the process is killed meanwhile; replace what is no Unicode."""
    with replaced(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8", errors="replace")


def dump_config(config: Any) -> str:
    """Return the resolved config as YAML."""
    return OmegaConf.to_yaml(OmegaConf.structured(config))


def plain(config: Any) -> dict[str, Any]:
    """Return a config as nested dicts of plain values."""
    return asdict(config, dict_factory=_plain_values)


def _plain_values(items: list[tuple[str, Any]]) -> dict[str, Any]:
    return {name: _plain_value(value) for name, value in items}


def _plain_value(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain_value(item) for item in value]
    return value.value if isinstance(value, Enum) else value


def is_empty(folder: Path) -> bool:
    """Return True if the folder holds at most the traceback of an earlier attempt, which the caller removes."""
    return all(path.name == CRASH for path in folder.iterdir())


def default_output(experiment: str, now: str, resume: str) -> str:
    """Return runs/<experiment>/<time> or, with resume=auto, its folder with the newest checkpoint or chain."""
    runs = Path("runs") / experiment
    newest = newest_run(runs) if resume == AUTO else None
    return str(newest or runs / now)


def newest_run(runs: Path) -> Path | None:
    """Return the folder in `runs` whose checkpoint or chain.json was written last, by the time that is written in it.

    Of runs that do not say it, as of those that a wrong clock wrote in the future, the last in the alphabet counts.
    """
    found = [(_written_at(record), run) for run in runs.glob("*/") for record in _records(run)]
    return max(found)[1] if found else None


def _written_at(record: Path) -> float:
    """Return the Unix time at which a record was written; 0 if it does not say, or names a time that is to come."""
    try:
        told = json.loads(record.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        # No record of a checkpoint is a mistake yet: another run may be the newest.
        return 0.0
    time_s = told.get(WRITTEN_AT) if isinstance(told, dict) else None
    return float(time_s) if isinstance(time_s, int | float) and 0 < time_s < time.time() + CLOCKS_DIFFER_S else 0.0


def stage_folder(output: str, stages: Mapping[str, Any], name: str) -> str:
    """Return the folder of a stage, `<output>/<number>_<name>`; stages that are null are not counted."""
    names = list(present(stages))
    if name not in names:
        raise UserError(f"stages has no stage '{name}' that ${{stage:{name}}} could name; there are {', '.join(names)}")
    return str(Path(output) / f"{names.index(name) + 1}_{name}")


def present(stages: Mapping[str, Any]) -> dict[str, Any]:
    """Return the stages that are not null."""
    return {name: part for name, part in stages.items() if part is not None}


def _records(run: Path) -> list[Path]:
    """Return the records of the checkpoints of a run or of a chain's stages, and chain.json."""
    chain = run / CHAIN
    stages = [folder for stage in run.glob("*_*/") for folder in step_folders(stage)] if chain.exists() else []
    return [*(folder / RECORD for folder in (*step_folders(run), *stages)), *([chain] if chain.exists() else [])]
