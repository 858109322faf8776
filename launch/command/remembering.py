"""Puts how a model was asked in training into the config of a run that asks it again."""

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any

from omegaconf import DictConfig, OmegaConf

from conf.keys import Key, as_typed, walk
from launch.command.mistakes import check_value, parse_overrides, reason_unread
from launch.run.model_folder import asking_at
from rewards.presets import tasks_of
from rl.asking import FILE
from rl.faults import UserError
from rl.types import Task

TASK = "data.task"
EMPTY = "''"
MODEL = ("model", "model.path")
FILES = ("experiment", "ablation")
"""Groups whose files may set any key; `data` sets keys of its own section."""


def remember(composed: DictConfig, typed: Sequence[str], schema: type, unread: Mapping[str, str]) -> list[str]:
    """Set the keys that the model of the config brings and that were not typed; return what to say about it.

    A key that was typed stays, and so do those of a file that was named (experiment=…, data=…). Of a named reward the
    task stays, unless the model is named too and the reward can judge its task. `unread` has the keys that the verb
    ignores.
    """
    path = str(composed.model.path) if "model" in composed else ""
    names = {override.key_or_group for override in parse_overrides(typed)}
    keys = {key.path: key for key in walk(schema) if not reason_unread(key.path, unread)}
    taken, other = [], []
    for name, told in asking_at(path).items():
        if name not in keys:
            continue
        now, value = OmegaConf.select(composed, name), _checked(keys[name], told, schema, path)
        if now == value:
            continue
        was = as_typed(value) or EMPTY
        if _is_typed(name, names) or (name == TASK and _is_of_reward(composed, value, names)):
            other.append(f"{name}={as_typed(now) or EMPTY}, where it was {was}")
        else:
            OmegaConf.update(composed, name, value)
            taken.append(f"{name}={was}")
    said = [f"{path} is asked as in its training: {', '.join(taken)}"] if taken else []
    return [*said, *([f"warning: {path} is asked otherwise than in its training: {'; '.join(other)}"] if other else [])]


def _checked(key: Key, value: Any, schema: type, path: str) -> Any:
    """Return the value as the config holds it; a UserError names the model whose file has a wrong one."""
    if issubclass(key.kind, Enum):
        value = next((choice for choice in key.kind if choice.value == value), value)
    try:
        # The model may be a stranger's, and an interpolation would read this machine's environment.
        if "${" in str(value):
            raise UserError(f"{key.path} must not hold ${{; got {value}")
        check_value(key, value, str(value), schema)
    except UserError as error:
        raise UserError(f"model.path={path} says wrongly how it was asked: {error}; mend its {FILE}") from error
    return value


def _is_typed(key: str, names: set[str]) -> bool:
    return not names.isdisjoint({key, *FILES, *(["data"] if key.startswith("data.") else [])})


def _is_of_reward(composed: DictConfig, task: Task, names: set[str]) -> bool:
    """Return True if the task is that of a named reward, not `task`, that of the model."""
    if "reward" not in names:
        return False
    reward: Any = OmegaConf.to_object(composed.reward) if "reward" in composed else None
    return names.isdisjoint(MODEL) or reward is None or task not in tasks_of(reward)
