"""Uses of Hydra's private functions."""

import sys
from collections.abc import Callable, Collection, Sequence
from types import SimpleNamespace
from typing import Any, cast

import hydra
from hydra._internal import core_plugins
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import IConfigRepository
from hydra._internal.defaults_list import create_defaults_list
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig, OmegaConf


def _itself(store: ConfigStore, _: dict[int, Any]) -> ConfigStore:
    return store


# Hydra copies its store, which holds the schemas of all verbs, for every config, and changes neither store nor copy.
# The copies take a fifth of the composing time.
ConfigStore.__deepcopy__ = _itself  # type: ignore[attr-defined]


def run_jobs(
    config_folder: str, name: str, arguments: Sequence[str], job: Callable[[DictConfig], float | None]
) -> None:
    """Run `job` with the config `name`, once or as often as Hydra's sweeper asks for."""
    # hydra.main is made for the main function of a program: it reads sys.argv, and composes each config itself. So
    # what was composed to be checked is composed again, but every sweeper, launcher and option of Hydra works.
    before, sys.argv = sys.argv, [f"assay {name}", *arguments]
    try:
        hydra.main(version_base="1.3", config_path=config_folder, config_name=name)(job)()
    finally:
        sys.argv = before


def open_repository(name: str, hydra_arguments: list[str]) -> IConfigRepository:
    """Return the repository that lists the options of config groups; Hydra must be initialized."""
    # ConfigLoader.get_group_options opens one for every group, and to open one copies all configs.
    loader = cast(ConfigLoaderImpl, GlobalHydra.instance().config_loader())
    return loader._parse_overrides_and_create_caching_repo(name, hydra_arguments)[1]


def files_of(groups: Collection[str]) -> dict[str, Any]:
    """Return the files that the options of these groups bring into the config that Hydra composed last.

    Each has its path, such as "experiment/demo", and its values where they stand in the config. An experiment also
    brings in the files that its own defaults list names, and the options that this list chooses for other groups.
    """
    composed = HydraConfig.get()
    named = {f"{group}/{composed.runtime.choices[group]}" for group in groups if group in composed.runtime.choices}
    if not named:
        return {}
    loader, primary = cast(ConfigLoaderImpl, GlobalHydra.instance().config_loader()), composed.job.config_name
    overrides, repository = loader._parse_overrides_and_create_caching_repo(
        primary, [*composed.overrides.hydra, *composed.overrides.task]
    )
    listed = create_defaults_list(repository, primary, overrides, prepend_hydra=True, skip_missing=False)
    chosen_by = {
        f"{group.partition('@')[0]}/{listed.overrides.known_choices[group]}": choice.containing_config_path
        for group, choice in listed.overrides.override_metadata.items()
        if choice.containing_config_path
    }
    origins = {file.config_path: chosen_by.get(str(file.config_path), file.parent) for file in listed.defaults}

    def is_brought(path: str | None) -> bool:
        return path in named or (path in origins and is_brought(origins[path]))

    return {
        str(file.config_path): OmegaConf.to_container(loader._load_single_config(file, repository).config)
        for file in listed.defaults
        if is_brought(file.config_path)
    }


def launcher_target(launcher: str, class_name: str) -> str:
    """Return the `_target_` of a launcher that `add_launcher` makes known."""
    return f"{core_plugins.__name__}.{launcher}.{class_name}"


def add_launcher(name: str, launcher: type[Launcher], options: type) -> None:
    """Make hydra/launcher=<name> known; `options` is the dataclass of hydra.launcher.*."""
    # Hydra makes a launcher only of a class in its own package or in hydra_plugins, which every program of this
    # environment that uses Hydra would import.
    inside = type(launcher.__name__, (launcher,), {"__module__": f"{core_plugins.__name__}.{name}"})
    setattr(core_plugins, name, SimpleNamespace(**{launcher.__name__: inside}))
    Plugins.instance().register(inside)
    ConfigStore.instance().store(group="hydra/launcher", name=name, node=options)
