"""Defaults of config keys that depend on the model, for verbs that have no experiment to set them."""

from pathlib import Path
from typing import Any

from actors.config import Precision
from rl.documents import read_json
from rl.faults import UserError
from rl.types import Task


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
