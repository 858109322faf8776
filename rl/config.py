"""Config keys: dataclass fields with a type, a help sentence and, for some, a range."""

import math
from dataclasses import field, fields, is_dataclass
from typing import Any

from rl.faults import UserError


def key(default: Any, help: str, *, ge: float | None = None, gt: float | None = None, le: float | None = None) -> Any:
    """Return a dataclass field that carries its help sentence and range.

    If `default` is a class, each config gets a new instance of it; if it is a tuple, a new list of its items.
    """
    metadata = {"help": help, "ge": ge, "gt": gt, "le": le}
    if isinstance(default, type):
        return field(default_factory=default, metadata=metadata)
    if isinstance(default, tuple):
        return field(default_factory=lambda: list(default), metadata=metadata)
    return field(default=default, metadata=metadata)


def check_ranges(config: Any, path: str = "") -> None:
    """Raise a UserError that names the first key outside its range."""
    for item in fields(config):
        value, name = getattr(config, item.name), f"{path}{item.name}"
        if is_dataclass(value):
            check_ranges(value, f"{name}.")
        elif value is not None:
            _check_range(name, value, item.metadata)


def _check_range(name: str, value: Any, limits: Any) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise UserError(f"{name} must be a finite number; got {value}")
    if limits.get("ge") is not None and not value >= limits["ge"]:
        raise UserError(f"{name} must be ≥ {limits['ge']}; got {value}")
    if limits.get("gt") is not None and not value > limits["gt"]:
        raise UserError(f"{name} must be > {limits['gt']}; got {value}")
    if limits.get("le") is not None and not value <= limits["le"]:
        raise UserError(f"{name} must be ≤ {limits['le']}; got {value}")
