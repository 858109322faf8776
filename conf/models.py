"""What follows from the choice of a model, for verbs that do not leave it to an experiment."""

import json
from pathlib import Path
from typing import Any

from actors.config import Precision
from rl.data.config import Instructions
from rl.faults import UserError
from rl.types import Task

STARTERS, OF_ONE_IMAGE = "starter", "starter_yes_no"
"""How the options of conf/model begin whose models know the form of their answers, and the one that knows yes_no."""


def task_for(option: str | None, reference: str) -> str:
    """Of data.task, the name that suits an option of the group model; boxes are drawn by comparing with a reference."""
    compares = bool(reference) or str(option).startswith(STARTERS)
    return (Task.boxes if compares and option != OF_ONE_IMAGE else Task.yes_no).name


def only_compares(path: str) -> bool:
    """Whether a folder is that of a starter that was taught nothing about one image alone."""
    name = Path(path).name
    return name.startswith(STARTERS) and name != OF_ONE_IMAGE


def instructions_for(option: str | None) -> str:
    """Of data.instructions, the name that suits an option of the group model; None is a path."""
    return (Instructions.none if str(option).startswith(STARTERS) else Instructions.paper).name


def precision_of(path: str) -> str:
    """Of model.precision, the name of that in which a folder's weights are kept; of what is no folder, bf16."""
    file = Path(path) / "config.json"
    told = _object_in(file) if path and file.is_file() else {}
    # Older transformers call it torch_dtype.
    kept = told.get("dtype") or told.get("torch_dtype")
    return (Precision.fp32 if kept == Precision.fp32.value else Precision.bf16).name


def _object_in(file: Path) -> dict[str, Any]:
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise UserError(f"{file}: cannot be read ({error}); copy the model anew") from error
    if not isinstance(told, dict):
        raise UserError(f"{file}: holds no JSON object; copy the model anew")
    return told
