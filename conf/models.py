"""Where model.path leads, and defaults of config keys that depend on the model."""

import re
from pathlib import Path
from typing import Any

from actors.config import Precision
from rl.documents import read_json
from rl.faults import UserError
from rl.types import Task

SHIPPED = Path(__file__).resolve().parents[1] / "models"
"""Folder of the models that come with Assay."""
HUB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*/[A-Za-z0-9][A-Za-z0-9_.-]*")
OWN_FOLDERS = re.compile(r"models|runs|data|checkpoints|step_[0-9]+|[0-9]+_\w+")
"""Folders that Assay makes, of runs and their parts. A path in one that is gone must not reach a stranger's model."""


def shipped_model(name: str) -> str:
    """Return the folder of a model that comes with Assay, relative to the current folder if it lies in that."""
    folder, here = SHIPPED / name, Path.cwd()
    return str(folder.relative_to(here) if folder.is_relative_to(here) else folder)


def is_hub_id(path: str) -> bool:
    """Return True if a path that is no folder was written as the name of a model on the hub.

    >>> is_hub_id("owner/name"), is_hub_id("./name"), is_hub_id("models/mine"), is_hub_id("step_60/hf")
    (True, False, False, False)
    """
    owner = path.partition("/")[0]
    return bool(HUB_ID.fullmatch(path)) and not OWN_FOLDERS.fullmatch(owner) and not Path(owner).exists()


def check_model_path(path: str) -> None:
    """Raise a UserError if model.path is neither a folder nor a hub id."""
    if Path(path).is_dir() or is_hub_id(path):
        return
    name = Path(path).name
    if Path(path) == Path("models", name) and (SHIPPED / name).is_dir():
        raise UserError(
            f"model.path: there is no folder '{path}' here; the model that comes with Assay is model={name}, from "
            "anywhere"
        )
    if Path(path).is_relative_to(SHIPPED):
        raise UserError(
            f"model.path: there is no folder '{path}'; the models that come with Assay lie in its checkout, so install "
            "that with pip -e, or give a folder or a hub id such as owner/name"
        )
    raise UserError(f"model.path: '{path}' is neither a folder nor a hub id such as owner/name")


def task_for(reference: str) -> str:
    """Return the data.task for a model of which nobody knows how it was trained."""
    return (Task.boxes if reference else Task.yes_no).name


def precision_of(path: str) -> str:
    """Return the model.precision in which the weights in `path` are stored; bf16 for a hub id."""
    file = Path(path) / "config.json"
    config = _object_in(file) if path and file.is_file() else {}
    # Older transformers call it torch_dtype.
    stored = config.get("dtype") or config.get("torch_dtype")
    return (Precision.fp32 if stored == Precision.fp32.value else Precision.bf16).name


def _object_in(file: Path) -> dict[str, Any]:
    config = read_json(file)
    if not isinstance(config, dict):
        raise UserError(f"{file}: holds no JSON object; copy the model anew")
    return config
