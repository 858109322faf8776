"""Absolute paths, for the actors of a cluster that was there before: they run in other folders than this process."""

from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from conf.schema import PairsConfig, PredictConfig, TrainConfig
from launch.run.model_folder import model_folder

Config = TypeVar("Config", TrainConfig, PredictConfig, PairsConfig)


def with_absolute_paths(config: Config) -> Config:
    """Return the config with absolute paths, for a run in model.path that of its model; a hub id stays as it is."""
    model, data, cluster = config.model, config.data, config.cluster
    return replace(
        config,
        output=_absolute(config.output),
        model=replace(model, path=_absolute_model(model.path)),
        data=replace(data, root=_absolute(data.root), lessons=_absolute(data.lessons)),
        cluster=replace(cluster, reference_cache=_absolute(cluster.reference_cache)),
    )


def _absolute_model(path: str) -> str:
    return _absolute(model_folder(path)) if Path(path).is_dir() else path


def _absolute(path: str) -> str:
    """Return the absolute path; "" stays as it is."""
    return str(Path(path).resolve()) if path else ""
