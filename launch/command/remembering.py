"""Puts how a model was asked in training into the config of a run that asks it again."""

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any

from omegaconf import DictConfig, OmegaConf

from conf.keys import walk
from launch.command.mistakes import parse_overrides
from launch.run.model_folder import asking_at

TASK = "data.task"
FILES = ("experiment", "ablation")
"""Groups whose files may set any key; `data` sets keys of its own section, and a reward has a task."""


def remember(composed: DictConfig, typed: Sequence[str], schema: type, unread: Mapping[str, str]) -> list[str]:
    """Set the keys that the model of the config brings and that were not typed; return what to say about it.

    A key that was typed stays, and so do those of a file that was named (experiment=…, data=…); `unread` has the keys
    that the verb ignores.
    """
    path = str(composed.model.path) if "model" in composed else ""
    names = {override.key_or_group for override in parse_overrides(typed)}
    kinds = {key.path: key.kind for key in walk(schema)}
    taken, other = [], []
    for key, value in asking_at(path).items():
        if key not in kinds or key in unread:
            continue
        now = OmegaConf.select(composed, key)
        value = kinds[key](value) if issubclass(kinds[key], Enum) else value
        if now == value:
            continue
        if _is_typed(key, names):
            other.append(f"{key}={_plain(now)}, where it was {_plain(value)}")
        else:
            OmegaConf.update(composed, key, value)
            taken.append(f"{key}={_plain(value)}")
    said = [f"{path} is asked as in its training: {', '.join(taken)}"] if taken else []
    return [*said, *([f"warning: {path} is asked otherwise than in its training: {'; '.join(other)}"] if other else [])]


def _is_typed(key: str, names: set[str]) -> bool:
    section = key.split(".")[0]
    setters = {key, *FILES, *(["data"] if section == "data" else []), *(["reward"] if key == TASK else [])}
    return not names.isdisjoint(setters)


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.name
    return str(value).lower() if isinstance(value, bool) else value or "''" if isinstance(value, str) else value
