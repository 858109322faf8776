"""The config.json of model.path, and the family that it names."""

from typing import Any

import rl.import_fixes  # noqa: F401

from transformers import AutoConfig

from rl.family import FAMILIES, Family, family_names
from rl.faults import UserError


def model_config(path: str) -> Any:
    """Return the config of a folder or hub id; raise a UserError where there is none."""
    try:
        return AutoConfig.from_pretrained(path)
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path}: neither a model folder with a config.json nor a hub id that can be reached; "
            f"give model.path a {family_names()} checkpoint"
        ) from error


def family_of(path: str) -> Family:
    """Return the family of a folder or hub id; raise a UserError for one that FAMILIES lacks."""
    kind = model_config(path).model_type
    if kind not in FAMILIES:
        raise UserError(f"{path}: a model of type {kind}; model.path must be a {family_names()} checkpoint")
    return FAMILIES[kind]
