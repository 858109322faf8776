"""Puts how a model was asked in training into the config of a run that asks it again."""

import os
from collections.abc import Collection, Mapping, Sequence
from copy import deepcopy
from enum import Enum
from pathlib import Path
from types import MappingProxyType
from typing import Any

from omegaconf import DictConfig, OmegaConf

from conf.keys import Key, as_typed, walk
from launch.command.inside_hydra import files_of
from launch.command.mistakes import check_value, parse_overrides, reason_unread
from launch.command.verb import Verb
from launch.run.folder import present
from launch.run.model_folder import asking_at
from rewards.presets import tasks_of
from rl.asking import FILE, asking_of
from rl.faults import UserError
from rl.types import Task

TASK = "data.task"
EMPTY = "''"
MODEL, REWARD = "model", "reward"
MODEL_PATH = f"{MODEL}.path"


def remember(
    composed: DictConfig,
    typed: Sequence[str],
    schema: type,
    unread: Mapping[str, str],
    stages: Mapping[str, Verb] = MappingProxyType({}),
) -> list[str]:
    """Set the keys that the models of the config bring and that nobody else set; return what to say about it.

    A key that was typed stays, and so does one that is set by a file of a named option (experiment=…, data=…). Of a
    named reward the task stays, unless the model is named too and the reward can judge its task. `unread` has the keys
    that the verb ignores, `stages` the verbs that a stage can have.
    """
    names = {override.key_or_group for override in parse_overrides(typed)}
    path = str(composed.model.path) if MODEL in composed else ""
    taken, said = _remember(composed, path, names, schema, unread)
    for name, stage in present(composed.stages).items() if stages else ():
        said += _remember_stage(composed, name, stage, names, stages, taken)
    return said


def _remember_stage(
    composed: DictConfig,
    name: str,
    stage: Any,
    names: Collection[str],
    stages: Mapping[str, Verb],
    of_chain: Mapping[str, Any],
) -> list[str]:
    """Set the keys that the model of a stage brings, if the stage names one that the chain does not make itself.

    `of_chain` has the keys that the model of the whole chain has brought.
    """
    verb = stages.get(stage.get("verb", "train")) if isinstance(stage, Mapping) else None
    if not verb or not isinstance(stage.get(MODEL), Mapping) or not stage.model.get("path"):
        return []
    path = str(stage.model.path)
    if Path(os.path.abspath(path)).is_relative_to(os.path.abspath(composed.output)):
        return []
    stage_keys = _asked_keys(stage)
    if not asking_at(path):
        kept = {key: value for key, value in of_chain.items() if key not in stage_keys}
        told = f"{path} does not say how it was asked; it is asked as {composed.model.path}: {_listed(kept)}"
        return [f"warning: stage {name}: {told}"] if kept else []
    keys = {key.path: key for key in walk(verb.schema)}
    stage_config = deepcopy(composed)
    for key in stage_keys:
        value = OmegaConf.select(composed, f"stages.{name}.{key}")
        try:
            check_value(keys[key], value, as_typed(value), verb.schema)
        except UserError as error:
            raise UserError(f"stages.{name}.{error}") from error
        OmegaConf.update(stage_config, key, value)
    named = {*names, *stage_keys, MODEL_PATH}
    taken, said = _remember(stage_config, path, named, verb.schema, verb.unread, f"stage {name}: ")
    for key, value in taken.items():
        plain = value.name if isinstance(value, Enum) else value
        OmegaConf.update(composed, f"stages.{name}.{key}", plain, force_add=True)
    return said


def _remember(
    config: DictConfig, path: str, names: Collection[str], schema: type, unread: Mapping[str, str], prefix: str = ""
) -> tuple[dict[str, Any], list[str]]:
    """Set the keys that the model in `path` brings; return their values, and what to say, after `prefix`."""
    keys = {key.path: key for key in walk(schema) if not reason_unread(key.path, unread)}
    told = {name: _checked(keys[name], value, schema, path) for name, value in asking_at(path).items() if name in keys}
    differing = {name: value for name, value in told.items() if OmegaConf.select(config, name) != value}
    if not differing:
        return {}, []
    files = files_of(names)
    # The file of a model's option describes that model, also where another path is typed.
    by_files = {
        key for file, values in files.items() if not file.startswith(f"{MODEL}/") for key in _asked_keys(values)
    }
    is_reward_named = any(file.startswith(f"{REWARD}/") for file in files)
    taken, other = {}, []
    for name, value in differing.items():
        was = as_typed(value) or EMPTY
        is_of_reward = name == TASK and is_reward_named and _is_of_reward(config, value, names)
        if name in names or name in by_files or is_of_reward:
            other.append(f"{name}={as_typed(OmegaConf.select(config, name)) or EMPTY}, where it was {was}")
        else:
            taken[name] = value
    for name, value in taken.items():
        OmegaConf.update(config, name, value)
    said = [f"{prefix}{path} is asked as in its training: {_listed(taken)}"] if taken else []
    if other:
        said.append(f"warning: {prefix}{path} is asked otherwise than in its training: {'; '.join(other)}")
    return taken, said


def _listed(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={as_typed(value) or EMPTY}" for name, value in values.items())


def _asked_keys(values: Mapping[str, Any]) -> list[str]:
    """Return the keys of rl.asking.ASKED that a file or a stage sets."""
    return list(asking_of({name: section for name, section in values.items() if isinstance(section, Mapping)}))


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


def _is_of_reward(config: DictConfig, task: Task, names: Collection[str]) -> bool:
    """Return True if a named reward keeps its task instead of `task`, that of the model."""
    reward: Any = OmegaConf.to_object(config.reward) if REWARD in config else None
    return not {MODEL, MODEL_PATH} & set(names) or reward is None or task not in tasks_of(reward)
