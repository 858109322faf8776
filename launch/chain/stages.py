"""The stages of a chain: each is the config of a run of its own, of the chain's keys and those that it says itself."""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from conf.keys import Key, sections, walk
from conf.schema import UNREAD_BY_PAIRS, PairsConfig, TrainConfig
from conf.validate import check_elsewhere, check_here, check_pairs_elsewhere, check_pairs_here, check_train
from launch.command.mistakes import check_unread, check_value, unknown_key
from launch.run.folder import AUTO, present, stage_folder
from rl.config import check_ranges
from rl.faults import UserError

OF_THE_CHAIN = ("output", "resume", "seed", "stages")
"""Keys that are the same in all stages; another seed would let a stage learn what another is judged on."""
MODEL, VERB = "model.path", "verb"
NAME = re.compile(r"[\w-]+")


@dataclass(frozen=True, kw_only=True)
class Verb:
    """What a stage does."""

    schema: type
    """Dataclass of its config; the sections that TrainConfig has too begin as the chain's."""
    check_elsewhere: Callable[[Any], None]
    """Raises a UserError for a contradiction in the config."""
    check_here: Callable[[Any], None]
    """Raises a UserError for what this machine lacks, such as files; those that a stage makes are not asked for."""
    main: Callable[[Any], int]
    """Takes the config, returns the exit code; leaves summary.json in the folder `output`."""
    makes_model: bool
    """Whether the stages after it start from a model of its making."""
    unread: Mapping[str, str]
    """Keys and sections that do nothing for it, each with the reason."""


def _train(config: TrainConfig) -> int:
    from launch.train.run import main

    return main(config)


def _pairs(config: PairsConfig) -> int:
    from launch.pairs.run import main

    return main(config)


VERBS: Mapping[str, Verb] = {
    "train": Verb(
        schema=TrainConfig,
        check_elsewhere=check_elsewhere,
        check_here=check_here,
        main=_train,
        makes_model=True,
        unread={},
    ),
    "pairs": Verb(
        schema=PairsConfig,
        check_elsewhere=check_pairs_elsewhere,
        check_here=check_pairs_here,
        main=_pairs,
        makes_model=False,
        unread=UNREAD_BY_PAIRS,
    ),
}


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One of a chain."""

    name: str
    verb: Verb
    config: Any
    """Of a run of its own; without a model of its own it is to start from the last one that a stage made."""
    config_now: Any
    """The same without what names files that earlier stages make."""
    said: Mapping[str, Any]
    """What the stage says itself by dotted key."""
    said_now: Mapping[str, Any]
    """The same without what names files that earlier stages make."""

    @property
    def folder(self) -> Path:
        return Path(self.config.output)


def check_run(config: TrainConfig) -> None:
    """Raises a UserError for the first contradiction of a run or of a stage, or for what this machine lacks."""
    if not config.stages:
        check_train(config)
    for stage in stages_of(config):
        with _named(stage):
            stage.verb.check_elsewhere(stage.config)
            stage.verb.check_here(stage.config_now)


def check_run_elsewhere(config: TrainConfig) -> None:
    """The same for a run on another machine."""
    if not config.stages:
        check_elsewhere(config)
    for stage in stages_of(config):
        with _named(stage):
            stage.verb.check_elsewhere(stage.config)


@contextmanager
def _named(stage: Stage) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise UserError(f"stage {stage.name}: {error}") from error


def trainings_of(config: TrainConfig) -> list[TrainConfig]:
    """What is trained in a run, one after the other."""
    stages = [stage.config for stage in stages_of(config)]
    return [stage for stage in stages if isinstance(stage, TrainConfig)] if stages else [config]


def stages_of(config: TrainConfig) -> list[Stage]:
    """The stages in their order, [] of an ordinary run; a UserError names the key that no stage can have."""
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
    if verb_name not in VERBS:
        raise UserError(f"stages.{name}.{VERB} must be one of {', '.join(VERBS)}; got {verb_name}")
    verb = VERBS[verb_name]
    try:
        said = _leaves({key: value for key, value in part.items() if key != VERB}, verb.schema)
        check_unread(said, verb.unread)
        made = _made(config, name, said)
        now = {key: value for key, value in said.items() if key not in made}
        whole, without = (_config(config, name, verb.schema, values) for values in (said, now))
    except ValueError as error:
        raise UserError(f"stages.{name}.{error}") from error
    return Stage(name=name, verb=verb, config=whole, config_now=without, said=said, said_now=now)


def _leaves(part: Mapping[str, Any], schema: type) -> dict[str, Any]:
    """The values by dotted key, each checked as if it were typed."""
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


def _made(config: TrainConfig, name: str, said: Mapping[str, Any]) -> list[str]:
    """The keys whose values are files of earlier stages."""
    names = list(present(config.stages))
    folders = {other: absolute(stage_folder(config.output, config.stages, other)) for other in names}
    made = []
    for key, value in said.items():
        makers = [other for other in names if isinstance(value, str) and absolute(value).is_relative_to(folders[other])]
        if makers and names.index(makers[0]) >= names.index(name):
            raise UserError(f"{key}={value} is not there before the stage {makers[0]} is done; name an earlier one")
        made += [key] * len(makers)
    return made


def absolute(path: str) -> Path:
    return Path(os.path.abspath(path))


def _config(config: TrainConfig, name: str, schema: type, said: Mapping[str, Any]) -> Any:
    """The chain's values as far as the schema has them, with those of the stage."""
    folder = stage_folder(config.output, config.stages, name)
    own, chain = config.logging, Path(config.output).resolve().name
    logging = replace(own, group=own.group or chain, run_name=f"{own.run_name or chain}/{Path(folder).name}")
    values = {**vars(config), "stages": {}, "output": folder, "logging": logging}
    merged = OmegaConf.structured(
        schema(**{field.name: values[field.name] for field in fields(schema) if field.name in values})
    )
    for key, value in said.items():
        OmegaConf.update(merged, key, value)
    made = OmegaConf.to_object(merged)
    check_ranges(made)
    return made
