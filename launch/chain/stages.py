"""The stages of a chain: each has the config of a run, made of the chain's keys and of those that the stage sets."""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from conf.keys import Key, sections, walk
from conf.schema import TrainConfig
from launch.command.mistakes import check_unread, check_value, unknown_key
from launch.command.verb import Verb
from launch.run.folder import AUTO, present, stage_folder
from launch.verbs import VERBS
from rl.config import check_ranges
from rl.faults import UserError

OF_THE_CHAIN = ("output", "resume", "seed", "stages")
"""Keys that no stage can set; with another seed, a stage could learn from samples that another is judged on."""
MODEL, VERB = "model.path", "verb"
STAGE_VERBS = {name: verb for name, verb in VERBS.items() if verb.is_stage}
NAME = re.compile(r"[\w-]+")


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Part of a chain, which runs one verb."""

    name: str
    verb: Verb
    config: Any
    """Config of the run; if `values` has no model.path, the chain puts in the model that the last training made."""
    values: Mapping[str, Any]
    """Values that the stage sets itself, by dotted key."""
    made: frozenset[str]
    """Keys of `values` that name files which earlier stages make."""

    @property
    def folder(self) -> Path:
        return Path(self.config.output)

    @property
    def values_at_start(self) -> dict[str, Any]:
        """The values whose files exist before the chain starts."""
        return {key: value for key, value in self.values.items() if key not in self.made}


def check_run(config: TrainConfig) -> None:
    """Raise a UserError for the first contradiction in the config of a training, or of a stage of a chain."""
    if not config.stages:
        VERBS["train"].check(config)
    for stage in stages_of(config):
        with _named(stage):
            stage.verb.check(stage.config)


def check_run_here(config: TrainConfig) -> None:
    """Raise a UserError for what this machine lacks for a training, or for a stage; a chain makes some files itself."""
    if not config.stages:
        VERBS["train"].check_here(config)
    for stage in stages_of(config):
        with _named(stage):
            stage.verb.check_here(_config(config, stage.name, stage.verb.schema, stage.values_at_start))


@contextmanager
def _named(stage: Stage) -> Iterator[None]:
    try:
        yield
    except UserError as error:
        raise UserError(f"stage {stage.name}: {error}") from error


def trainings_of(config: TrainConfig) -> list[TrainConfig]:
    """Return the trainings of a run in their order; one if it has no stages."""
    stages = [stage.config for stage in stages_of(config)]
    return [stage for stage in stages if isinstance(stage, TrainConfig)] if stages else [config]


def stages_of(config: TrainConfig) -> list[Stage]:
    """Return the stages in their order, [] for a run without; a UserError names the key that no stage can have."""
    parts = present(config.stages)
    if config.stages and not parts:
        raise UserError("stages: every stage is null; leave one")
    if parts and config.resume not in ("", AUTO):
        raise UserError(f"resume={config.resume} names a checkpoint; a chain goes on with resume=auto and its output")
    if parts and not config.output:
        raise UserError("output is empty; give the folder of the chain, e.g. output=runs/mine")
    return [_stage(config, name, part) for name, part in parts.items()]


def _stage(config: TrainConfig, name: str, part: Any) -> Stage:
    if not NAME.fullmatch(name):
        raise UserError(f"stages: '{name}' cannot name a folder; use letters, digits, _ and -")
    if not isinstance(part, Mapping):
        raise UserError(f"stages.{name} must hold the keys that differ in this stage; got {part}")
    verb_name = part.get(VERB, "train")
    if verb_name not in STAGE_VERBS:
        raise UserError(f"stages.{name}.{VERB} must be one of {', '.join(STAGE_VERBS)}; got {verb_name}")
    verb = STAGE_VERBS[verb_name]
    try:
        values = _leaves({key: value for key, value in part.items() if key != VERB}, verb.schema)
        check_unread(values, verb.unread)
        made = _made(config, name, values)
        return Stage(
            name=name, verb=verb, config=_config(config, name, verb.schema, values), values=values, made=frozenset(made)
        )
    except (UserError, OmegaConfBaseException) as error:
        raise UserError(f"stages.{name}.{error}") from error


def _leaves(part: Mapping[str, Any], schema: type) -> dict[str, Any]:
    """Return the values by dotted key, each checked as if it were typed."""
    keys = {key.path: key for key in walk(schema) if key.path not in OF_THE_CHAIN}
    return dict(_checked(part, "", keys, schema))


def _checked(part: Mapping[str, Any], prefix: str, keys: Mapping[str, Key], schema: type) -> Iterator[tuple[str, Any]]:
    for name, value in part.items():
        path = f"{prefix}{name}"
        if path in OF_THE_CHAIN:
            raise UserError(f"{path} cannot differ from the other stages; leave it out")
        if path in keys:
            check_value(keys[path], value, "null" if value is None else str(value), schema)
            yield path, value
        elif path in sections(schema) and isinstance(value, Mapping):
            yield from _checked(value, f"{path}.", keys, schema)
        else:
            raise UserError(unknown_key(path, schema))


def _made(config: TrainConfig, name: str, values: Mapping[str, Any]) -> list[str]:
    """Return the keys whose values lie in the folders of earlier stages."""
    names = list(present(config.stages))
    folders = {other: absolute(stage_folder(config.output, config.stages, other)) for other in names}
    made = []
    for key, value in values.items():
        makers = [other for other in names if isinstance(value, str) and absolute(value).is_relative_to(folders[other])]
        if makers and names.index(makers[0]) >= names.index(name):
            raise UserError(f"{key}={value} is not there before the stage {makers[0]} is done; name an earlier one")
        made += [key] * len(makers)
    return made


def absolute(path: str) -> Path:
    return Path(os.path.abspath(path))


def _config(config: TrainConfig, name: str, schema: type, values: Mapping[str, Any]) -> Any:
    """Return the config of a stage: the chain's values of the keys in `schema`, then the stage's own."""
    folder = stage_folder(config.output, config.stages, name)
    own, chain = config.logging, Path(config.output).resolve().name
    run_name = f"{own.run_name}/{Path(folder).name}" if own.run_name else ""
    logging = replace(own, group=own.group or chain, run_name=run_name)
    of_chain = {**vars(config), "stages": {}, "output": folder, "logging": logging}
    merged = OmegaConf.structured(
        schema(**{field.name: of_chain[field.name] for field in fields(schema) if field.name in of_chain})
    )
    for key, value in values.items():
        OmegaConf.update(merged, key, value)
    made = OmegaConf.to_object(merged)
    check_ranges(made)
    return made
