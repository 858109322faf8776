"""Compose a config dataclass from overrides with Hydra; every mistake becomes a one-sentence UserError."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import hydra
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.types import IntervalSweep, Override
from hydra.errors import HydraException, MissingConfigException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import ConfigKeyError, InterpolationResolutionError, OmegaConfBaseException
from yaml import YAMLError

import conf
from conf.keys import walk
from conf.models import precision_of, shipped_model, task_for
from launch.command.inside_hydra import open_repository
from launch.command.mistakes import check_option, check_override, meant, parse_overrides, there_are, unknown_key
from launch.command.remembering import remember
from launch.command.verb import Verb
from launch.run.folder import default_output, stage_folder
from rewards.presets import PRESETS, preset, task_of
from rl.config import check_ranges
from rl.data.config import KNOWLEDGE
from rl.faults import UserError
from rl.types import Task

CONF = Path(conf.__file__).parent
OmegaConf.register_new_resolver("run_folder", default_output, replace=True)
OmegaConf.register_new_resolver(
    "stage", lambda name, *, _root_: stage_folder(_root_.output, _root_.stages, name), replace=True
)
OmegaConf.register_new_resolver("task_of", lambda reward: task_of(reward).name, replace=True)
OmegaConf.register_new_resolver(
    "knowledge_for", lambda task, root: f"{root}/{KNOWLEDGE}" if task is Task.routed else "", replace=True
)
OmegaConf.register_new_resolver("task_for", task_for, replace=True)
OmegaConf.register_new_resolver("precision_of", precision_of, replace=True)
OmegaConf.register_new_resolver("shipped_model", shipped_model, replace=True)
for reward in PRESETS:
    ConfigStore.instance().store(group="reward", name=reward, node=preset(reward).config)
PLAIN_OPTION = re.compile(r"[\w-]+(/[\w-]+)*")
"""Hydra takes more than it lists: a file's name with its ending, a path, an interpolation."""
BASIC = "basic"
"""Hydra's own sweeper, which runs every combination."""


@dataclass(frozen=True, kw_only=True)
class Composer:
    """Composes the configs of one verb."""

    name: str
    """Primary file: conf/<name>.yaml."""
    schema: type
    """Dataclass of the config."""
    unread: Mapping[str, str]
    """Keys and sections that the verb ignores, each with the reason."""
    stages: Mapping[str, Verb]
    """Verbs that stages of the config can have."""
    choices: dict[str, str | None]
    """Config groups, each with the option that is chosen when none is named."""
    hydra_arguments: list[str]
    """Overrides of hydra.*, which Hydra checks itself."""
    sweeper: str
    """Hydra's sweeper: who forms the jobs of a sweep."""
    launcher: str
    """Hydra's launcher: who runs them."""

    def compose(self, arguments: Sequence[str]) -> Any:
        """Return the config dataclass with the overrides."""
        return self.compose_and_tell(arguments)[0]

    def compose_and_tell(self, arguments: Sequence[str]) -> tuple[Any, list[str]]:
        """Return the config dataclass with the overrides, and sentences on what its model brings along."""
        with self._checked(arguments) as overrides:
            for key in walk(self.schema):
                if key.kind is dict:
                    self._check_names(key.path, overrides)
            composed = _compose(self.name, [*arguments, *self.hydra_arguments], self.schema)
        with open_dict(composed):
            del composed["hydra"]
        with _one_sentence(self.schema):
            told = remember(composed, arguments, self.schema, self.unread, self.stages)
        return to_dataclass(composed, self.schema), told

    def swept_by_config(self, job: Sequence[str]) -> list[str]:
        """Return the overrides in hydra.sweeper.params that the files chosen by a job add to the sweep."""
        with self._checked(job):
            composed = _compose(self.name, [*job, *self.hydra_arguments], self.schema)
        return [f"{name}={value}" for name, value in (composed.hydra.sweeper.get("params") or {}).items()]

    def options(self, groups: Collection[str]) -> dict[str, list[str]]:
        """List the options of groups; those in subfolders as they are typed, folder/option."""
        if not groups:
            return {}
        repository = open_repository(self.name, self.hydra_arguments)

        def options_in(group: str, prefix: str = "") -> list[str]:
            options = repository.get_group_options(group, ObjectType.CONFIG)
            folders = repository.get_group_options(group, ObjectType.GROUP)
            inner = [option for name in folders for option in options_in(f"{group}/{name}", f"{name}/")]
            return [*(f"{prefix}{option}" for option in options), *inner]

        return {group: options_in(group) for group in groups}

    @contextmanager
    def _checked(self, arguments: Sequence[str]) -> Iterator[list[Override]]:
        """Check each override by itself, and name a wrong option when composing in the block fails.

        Options are listed only for values that look wrong, and when composing fails.
        """
        overrides = parse_overrides(arguments)
        for override in overrides:
            check_override(override, self.schema, self.choices)
        chosen = [override for override in overrides if override.key_or_group in self.choices]
        values = [override.value() for override in chosen]
        if not all(isinstance(value, str) and PLAIN_OPTION.fullmatch(value) for value in values):
            self._check_options(chosen)
        try:
            yield overrides
        except ValueError:
            self._check_options(chosen)
            raise

    def _check_options(self, chosen: Sequence[Override]) -> None:
        options = self.options([override.key_or_group for override in chosen])
        for override in chosen:
            check_option(override, options[override.key_or_group])

    def _check_names(self, mapping: str, overrides: Sequence[Override]) -> None:
        """Refuse overrides of parts of a mapping (stages) that the chosen files do not define, or set to null."""
        inside = [override for override in overrides if override.key_or_group.startswith(f"{mapping}.")]
        if not inside:
            return
        others = [str(override.input_line) for override in overrides if override not in inside]
        known = _compose(self.name, [*others, *self.hydra_arguments], self.schema)[mapping]
        for override in inside:
            _, name, *key = override.key_or_group.split(".")
            if known and name not in known:
                hint = meant(name, known, f"{mapping}.")
                raise UserError(f"{mapping}.{name} is not there; {there_are(known, hint)}")
            if key and name in known and known[name] is None:
                raise UserError(
                    f"{override.key_or_group}: {mapping}.{name} is null here, which leaves it out; leave this key out "
                    f"too, or give {'.'.join(key)}, which is for all"
                )


@contextmanager
def open_composer(
    name: str,
    schema: type,
    hydra_arguments: list[str],
    unread: Mapping[str, str] = MappingProxyType({}),
    stages: Mapping[str, Verb] = MappingProxyType({}),
) -> Iterator[Composer]:
    """Yield a composer that works inside the block, where Hydra is initialized."""
    ConfigStore.instance().store(name=f"{name}_schema", node=_with_free_names(schema))
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        with _one_sentence(schema):
            loader = GlobalHydra.instance().config_loader()
            chosen = loader.compute_defaults_list(name, hydra_arguments, RunMode.RUN).overrides.known_choices
        yield Composer(
            name=name,
            schema=schema,
            unread=unread,
            stages=stages,
            choices={group: option for group, option in chosen.items() if "hydra/" not in group},
            hydra_arguments=hydra_arguments,
            sweeper=str(chosen["hydra/sweeper"]),
            launcher=str(chosen["hydra/launcher"]),
        )


@cache
def _with_free_names(schema: type) -> DictConfig:
    """Return the schema as Hydra merges it; any name can be added to its mappings."""
    structured = OmegaConf.structured(schema)
    for key in walk(schema):
        if key.kind is dict:
            OmegaConf.set_struct(OmegaConf.select(structured, key.path), False)
    return structured


def jobs_of(arguments: Sequence[str], sweeper: str) -> list[list[str]]:
    """Return the overrides of each job of a sweep; of a sweeper that chooses as it goes, those of its two extremes."""
    overrides = parse_overrides(arguments)
    if any(override.key_or_group == "output" and override.is_sweep_override() for override in overrides):
        raise UserError("output has several values; a sweep writes into one folder, with a numbered one for each job")
    if sweeper != BASIC:
        return [[_bounds(override)[end] for override in overrides] for end in (0, -1)]
    try:
        (jobs,) = BasicSweeper.split_arguments(overrides, max_batch_size=None)
    except HydraException as error:
        raise UserError(f"cannot sweep: {_one_line(error)}") from error
    return jobs


def _bounds(override: Override) -> list[str]:
    """Return the first and the last override that a sweeper can make of one."""
    value, key = override.value(), override.get_key_element()
    if isinstance(value, IntervalSweep):
        return [f"{key}={value.start}", f"{key}={value.end}"]
    if override.is_sweep_override():
        return [f"{key}={text}" for text in override.sweep_string_iterator()]
    return [str(override.input_line)]


def to_dataclass(composed: DictConfig, schema: type) -> Any:
    """Return the config as a dataclass, its ranges checked."""
    try:
        config = OmegaConf.to_object(composed)
    except OmegaConfBaseException as error:
        raise UserError(_sentence(error, schema)) from error
    check_ranges(config)
    return config


def _compose(name: str, arguments: list[str], schema: type) -> DictConfig:
    with _one_sentence(schema):
        composed = hydra.compose(name, arguments, return_hydra_config=True)
    HydraConfig.instance().set_config(composed)
    return composed


@contextmanager
def _one_sentence(schema: type) -> Iterator[None]:
    """Turn an error of Hydra, OmegaConf or YAML into a UserError of one line."""
    try:
        yield
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(_sentence(error, schema)) from error
    except YAMLError as error:
        raise UserError(f"a config file is not YAML: {_one_line(error)}") from error


def _sentence(error: BaseException, schema: type) -> str:
    """Return the sentence for an error; for a mistyped key in a file, the same as for one on the command line."""
    cause = error.__cause__ or error.__context__ or error
    if isinstance(cause, MissingConfigException) and str(cause.missing_cfg_file).startswith("hydra/sweeper/"):
        return f"{cause.missing_cfg_file} is not installed; Optuna comes with the extra `sweep`"
    if isinstance(cause, ConfigKeyError) and not str(cause.full_key).startswith("hydra"):
        where = re.match(r"In '([^']*)'", str(error))
        return (f"{where[1]}.yaml: " if where else "") + unknown_key(str(cause.full_key), schema)
    return _one_line(_raised_by_resolver(error))


def _raised_by_resolver(error: BaseException) -> BaseException:
    """Return the UserError of a resolver of ours, which OmegaConf wraps once or twice; else the error itself."""
    inner: BaseException | None = error
    while isinstance(inner, InterpolationResolutionError):
        inner = inner.__cause__ or inner.__context__
    return inner if isinstance(inner, UserError) else error


def _one_line(error: BaseException) -> str:
    # OmegaConf adds the key, then lines on its own types.
    text, _, details = str(error).partition("\n    full_key: ")
    key = f"{text} ({details.splitlines()[0]})" if details else text
    return " ".join(key.split())
