"""Defaults of config keys that depend on the model, for verbs that have no experiment to set them."""

import json
from pathlib import Path
from typing import Any

from actors.config import Precision
from rl.data.config import Instructions
from rl.faults import UserError
from rl.types import Task

STARTERS, OF_ONE_IMAGE = "starter", "starter_yes_no"
"""Prefix of the options of conf/model that were trained on the forms of answers; the one trained on yes_no alone."""


def task_for(option: str | None, reference: str) -> str:
    """Return the data.task for an option of conf/model: boxes if the model compares with a reference, else yes_no."""
    compares = bool(reference) or str(option).startswith(STARTERS)
    return (Task.boxes if compares and option != OF_ONE_IMAGE else Task.yes_no).name


def only_compares(path: str) -> bool:
    """Return True if the folder holds a starter that was never trained on one image alone."""
    name = Path(path).name
    return name.startswith(STARTERS) and name != OF_ONE_IMAGE


def instructions_for(option: str | None) -> str:
    """Return the data.instructions for an option of conf/model; None if the model is given by its path."""
    return (Instructions.none if str(option).startswith(STARTERS) else Instructions.paper).name


def precision_of(path: str) -> str:
    """Return the model.precision in which the weights in `path` are stored; bf16 for a hub id."""
    file = Path(path) / "config.json"
    config = _object_in(file) if path and file.is_file() else {}
    # Older transformers call it torch_dtype.
    stored = config.get("dtype") or config.get("torch_dtype")
    return (Precision.fp32 if stored == Precision.fp32.value else Precision.bf16).name


def _object_in(file: Path) -> dict[str, Any]:
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise UserError(f"{file}: cannot be read ({error}); copy the model anew") from error
    if not isinstance(config, dict):
        raise UserError(f"{file}: holds no JSON object; copy the model anew")
    return config
