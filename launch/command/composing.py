"""From what was typed to a config dataclass, by Hydra; every fault on the way is one sentence."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hydra
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.types import IntervalSweep, Override
from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import ConfigKeyError, InterpolationResolutionError, OmegaConfBaseException
from yaml import YAMLError

import conf
from conf.keys import walk
from conf.models import instructions_for, precision_of, task_for
from launch.command.mistakes import check_option, check_override, nearest, parse_overrides, unknown_key
from launch.run.folder import default_output, stage_folder
from rewards.presets import preset
from rl.config import check_ranges
from rl.faults import UserError

CONF = Path(conf.__file__).parent
OmegaConf.register_new_resolver("run_folder", default_output, replace=True)
OmegaConf.register_new_resolver(
    "stage", lambda name, *, _root_: stage_folder(_root_.output, _root_.stages, name), replace=True
)
OmegaConf.register_new_resolver("task_of", lambda reward: preset(reward).task.name, replace=True)
OmegaConf.register_new_resolver("instructions_for", instructions_for, replace=True)
OmegaConf.register_new_resolver("task_for", task_for, replace=True)
OmegaConf.register_new_resolver("precision_of", precision_of, replace=True)
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
    """Its dataclass."""
    choices: dict[str, str | None]
    """The config groups, each with the option that is chosen when none is named."""
    options: Callable[[str], list[str]]
    """List the options of a group; Hydra takes a tenth of a second and more for it."""
    hydra_arguments: list[str]
    """Overrides of hydra.*, which Hydra checks itself."""
    sweeper: str
    """Hydra's sweeper: who forms the jobs of a sweep."""
    launcher: str
    """Hydra's launcher: who runs them."""

    def compose(self, arguments: Sequence[str]) -> Any:
        """The config dataclass with the overrides."""
        with self._checked(arguments) as overrides:
            for key in walk(self.schema):
                if key.kind is dict:
                    self._check_names(key.path, overrides)
            composed = _compose(self.name, [*arguments, *self.hydra_arguments], self.schema)
        with open_dict(composed):
            del composed["hydra"]
        return to_dataclass(composed, self.schema)

    def swept_by_config(self, job: Sequence[str]) -> list[str]:
        """What a file that a job chooses adds to the sweep, hydra.sweeper.params."""
        with self._checked(job):
            composed = _compose(self.name, [*job, *self.hydra_arguments], self.schema)
        return [f"{name}={value}" for name, value in (composed.hydra.sweeper.get("params") or {}).items()]

    @contextmanager
    def _checked(self, arguments: Sequence[str]) -> Iterator[list[Override]]:
        """Check each override by itself, and name a wrong option when composing in the block fails.

        Listing the options takes longer than composing: it is left to values that look wrong and to what fails.
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
        for override in chosen:
            check_option(override, self.options(override.key_or_group))

    def _check_names(self, mapping: str, overrides: Sequence[Override]) -> None:
        """Where a file names what is in a mapping, another name is mistyped, and a key of one that is null is vain."""
        inside = [override for override in overrides if override.key_or_group.startswith(f"{mapping}.")]
        if not inside:
            return
        others = [str(override.input_line) for override in overrides if override not in inside]
        known = _compose(self.name, [*others, *self.hydra_arguments], self.schema)[mapping]
        for override in inside:
            _, name, *key = override.key_or_group.split(".")
            if known and name not in known:
                meant = f"{mapping}.{nearest(name, list(known))}"
                raise UserError(f"{mapping}.{name} is not there; did you mean {meant}? There are {', '.join(known)}")
            if key and name in known and known[name] is None:
                raise UserError(
                    f"{override.key_or_group}: {mapping}.{name} is null here, which leaves it out; leave this key out "
                    f"too, or give {'.'.join(key)}, which is for all"
                )


@contextmanager
def open_composer(name: str, schema: type, hydra_arguments: list[str]) -> Iterator[Composer]:
    """A composer for as long as Hydra is at its service."""
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        composed = _compose(name, hydra_arguments, schema)
        chosen = composed.hydra.runtime.choices
        choices = {group: option for group, option in chosen.items() if "hydra/" not in group}
        loader = GlobalHydra.instance().config_loader()

        def options_in(group: str, prefix: str = "") -> list[str]:
            """Those of the folders in it too, as they are typed: folder/option."""
            found = {
                kind: loader.get_group_options(group, kind, config_name=name, overrides=hydra_arguments)
                for kind in (ObjectType.CONFIG, ObjectType.GROUP)
            }
            inner = [each for part in found[ObjectType.GROUP] for each in options_in(f"{group}/{part}", f"{part}/")]
            return [f"{prefix}{option}" for option in [*found[ObjectType.CONFIG], *inner]]

        yield Composer(
            name=name,
            schema=schema,
            choices=choices,
            options=options_in,
            hydra_arguments=hydra_arguments,
            sweeper=chosen["hydra/sweeper"],
            launcher=chosen["hydra/launcher"],
        )


def jobs_of(arguments: Sequence[str], sweeper: str) -> list[list[str]]:
    """The overrides of each job of a sweep, or the outermost ones of a sweeper that forms its jobs on the way."""
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
    """What a sweeper may choose first and last."""
    value, key = override.value(), override.get_key_element()
    if isinstance(value, IntervalSweep):
        return [f"{key}={value.start}", f"{key}={value.end}"]
    if override.is_sweep_override():
        return [f"{key}={text}" for text in override.sweep_string_iterator()]
    return [str(override.input_line)]


def to_dataclass(composed: DictConfig, schema: type) -> Any:
    """The plain config, its ranges checked."""
    try:
        config = OmegaConf.to_object(composed)
    except OmegaConfBaseException as error:
        raise UserError(_sentence(error, schema)) from error
    check_ranges(config)
    return config


def _compose(name: str, arguments: list[str], schema: type) -> DictConfig:
    try:
        composed = hydra.compose(name, arguments, return_hydra_config=True)
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(_sentence(error, schema)) from error
    except YAMLError as error:
        raise UserError(f"a config file is not YAML: {_one_line(error)}") from error
    HydraConfig.instance().set_config(composed)
    return composed


def _sentence(error: BaseException, schema: type) -> str:
    """Of a fault in a YAML file or an interpolation; a mistyped key in a file is answered as on the command line."""
    cause = error.__cause__ or error.__context__ or error
    if isinstance(cause, MissingConfigException) and str(cause.missing_cfg_file).startswith("hydra/sweeper/"):
        return f"{cause.missing_cfg_file} is not installed; Optuna comes with the extra `sweep`"
    if isinstance(cause, ConfigKeyError) and not str(cause.full_key).startswith("hydra"):
        where = re.match(r"In '([^']*)'", str(error))
        return (f"{where[1]}.yaml: " if where else "") + unknown_key(str(cause.full_key), schema)
    return _one_line(_raised_by_resolver(error))


def _raised_by_resolver(error: BaseException) -> BaseException:
    """What a resolver of ours raised, which OmegaConf wraps once or twice; another error is returned as it is."""
    inner: BaseException | None = error
    while isinstance(inner, InterpolationResolutionError):
        inner = inner.__cause__ or inner.__context__
    return inner if isinstance(inner, UserError) else error


def _one_line(error: BaseException) -> str:
    # OmegaConf adds the key, then lines on its own types.
    text, _, details = str(error).partition("\n    full_key: ")
    key = f"{text} ({details.splitlines()[0]})" if details else text
    return " ".join(key.split())
