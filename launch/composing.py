"""From what was typed to a config dataclass, by Hydra; every fault on the way is one sentence."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hydra
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import ConfigKeyError, OmegaConfBaseException

import conf
from launch.mistakes import check_override, parse_overrides, unknown_key
from rl.config import check_ranges

CONF = Path(conf.__file__).parent


@dataclass(frozen=True, kw_only=True)
class Composer:
    """Composes the configs of one verb."""

    name: str
    """Primary file: conf/<name>.yaml."""
    schema: type
    """Its dataclass."""
    choices: dict[str, str]
    """The config groups, each with the option that is chosen when none is named."""
    options: dict[str, list[str]]
    """The options of each group."""
    hydra_arguments: list[str]
    """Overrides of hydra.*, which Hydra checks itself."""

    def compose(self, arguments: Sequence[str]) -> Any:
        """The config dataclass with the overrides."""
        for override in parse_overrides(arguments):
            check_override(override, self.schema, self.options)
        composed = _compose(self.name, [*arguments, *self.hydra_arguments], self.schema)
        with open_dict(composed):
            del composed["hydra"]
        return to_dataclass(composed, self.schema)


@contextmanager
def open_composer(name: str, schema: type, hydra_arguments: list[str]) -> Iterator[Composer]:
    """A composer for as long as Hydra is at its service."""
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        composed = _compose(name, hydra_arguments, schema)
        choices = {group: option for group, option in composed.hydra.runtime.choices.items() if "hydra/" not in group}
        loader = GlobalHydra.instance().config_loader()
        options = {
            group: loader.get_group_options(group, config_name=name, overrides=hydra_arguments) for group in choices
        }
        yield Composer(name=name, schema=schema, choices=choices, options=options, hydra_arguments=hydra_arguments)


def jobs_of(arguments: Sequence[str]) -> list[list[str]]:
    """The overrides of each job of a sweep, as Hydra's own sweeper will form them."""
    try:
        (jobs,) = BasicSweeper.split_arguments(parse_overrides(arguments), max_batch_size=None)
    except HydraException as error:
        raise ValueError(f"cannot sweep: {_one_line(error)}") from error
    return jobs


def to_dataclass(composed: DictConfig, schema: type) -> Any:
    """The plain config, its ranges checked."""
    try:
        config = OmegaConf.to_object(composed)
    except OmegaConfBaseException as error:
        raise ValueError(_sentence(error, schema)) from error
    check_ranges(config)
    return config


def dump_config(config: Any) -> str:
    """The resolved config as YAML."""
    return OmegaConf.to_yaml(OmegaConf.structured(config))


def _compose(name: str, arguments: list[str], schema: type) -> DictConfig:
    try:
        composed = hydra.compose(name, arguments, return_hydra_config=True)
    except (HydraException, OmegaConfBaseException) as error:
        raise ValueError(_sentence(error, schema)) from error
    HydraConfig.instance().set_config(composed)
    return composed


def _sentence(error: BaseException, schema: type) -> str:
    """Of a fault in a YAML file or an interpolation; a mistyped key in a file is answered as on the command line."""
    cause = error.__cause__ or error.__context__ or error
    if isinstance(cause, ConfigKeyError) and not str(cause.full_key).startswith("hydra"):
        where = re.match(r"In '([^']*)'", str(error))
        return (f"{where[1]}.yaml: " if where else "") + unknown_key(str(cause.full_key), schema)
    return _one_line(error)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
