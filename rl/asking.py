"""How a model was asked while it was trained: assay.json beside its config.json, which transformers and vLLM ignore."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rl.documents import read_json
from rl.faults import UserError, brief

FILE = "assay.json"
ASKED = (
    "data.task",
    "data.question",
    "data.instructions",
    "data.with_reference",
    "data.square",
    "data.min_pixels",
    "data.max_pixels",
    "data.anomaly_words",
    "rollout.temperature",
    "rollout.top_p",
    "rollout.top_k",
    "rollout.min_p",
    "rollout.max_prompt_tokens",
    "rollout.max_images",
    "rollout.max_response_tokens",
    "model.precision",
)
"""Keys of a training that decide what its model is shown and how it answers."""


def asking_of(config: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the values of ASKED in a training's config of plain values, as far as it has them.

    >>> asking_of({"data": {"task": "boxes", "root": "photos"}, "algo": {"lr": 1e-6}})
    {'data.task': 'boxes'}
    """
    split = [(key, *key.split(".")) for key in ASKED]
    return {key: config[section][name] for key, section, name in split if name in config.get(section, {})}


def write_asking(folder: Path, asking: Mapping[str, Any]) -> None:
    (folder / FILE).write_text(json.dumps(asking, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read_asking(folder: Path) -> dict[str, Any]:
    """Return how the model in the folder was asked; {} if nobody wrote it down."""
    file = folder / FILE
    if not file.is_file():
        return {}
    asking = read_json(file)
    if not isinstance(asking, dict):
        raise UserError(f"{file} is not a JSON object; remove it, and give its keys yourself")
    strange = [key for key in asking if key not in ASKED]
    if strange:
        raise UserError(f"{file} must not hold {brief(strange[0])}; it may hold {', '.join(ASKED)}")
    return asking
