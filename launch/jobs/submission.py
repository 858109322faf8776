"""The command, the folder and the environment of a training as a Ray job."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any

from actors.config import ReferenceKind
from conf.schema import TrainConfig
from launch.chain.stages import stages_of, trainings_of
from launch.command.arguments import with_values
from launch.jobs.package import Package

TREE = Path(__file__).resolve().parents[2]
SECRETS = ("WANDB_API_KEY", "HF_TOKEN")
TRAVELLING = (*SECRETS, "WANDB_MODE", "WANDB_BASE_URL", "WANDB_ENTITY", "WANDB_PROJECT")
"""Environment variables that are copied to a job."""
PATHS = ("data.root", "data.lessons", "data.knowledge.file", "model.path", "resume")
"""Keys that name files."""
STOP_WAIT_S = 240
"""Seconds that Ray lets a stopped job write its checkpoint before it kills it; by default 3."""


@dataclass(frozen=True, kw_only=True)
class Submission:
    """Arguments of a request to the job server."""

    entrypoint: str
    runtime_env: dict[str, Any]


def submission(package: Package, arguments: Sequence[str], environment: Mapping[str, str]) -> Submission:
    """Return the submission of `assay train` with these arguments; secrets are in its environment only."""
    travelling = {name: environment[name] for name in TRAVELLING if environment.get(name)}
    return Submission(
        entrypoint=shlex.join(["python", "-m", "launch.train", *arguments]),
        runtime_env={
            "working_dir": str(package.archive),
            "env_vars": travelling | {"RAY_JOB_STOP_WAIT_TIME_S": str(STOP_WAIT_S)},
        },
    )


def overrides_in_job(config: TrainConfig, overrides: Sequence[str], package: Package, here: Path) -> list[str]:
    """Return the overrides with every path relative to `here` changed to the path in the job."""
    values = {"output": str(here / config.output)}
    paths = {key: attrgetter(key)(config) for key in PATHS}
    for stage in stages_of(config):
        values_at_start = stage.values_at_start
        paths |= {f"stages.{stage.name}.{key}": values_at_start[key] for key in PATHS if key in values_at_start}
    if any(training.cluster.reference is ReferenceKind.cached for training in trainings_of(config)):
        values["cluster.reference_cache"] = str(here / config.cluster.reference_cache)
    for key, path in paths.items():
        is_name = (key, path) == ("resume", "auto") or (key.endswith("model.path") and not (here / path).exists())
        named = path if is_name or not path else package.path_in_job(path, here)
        if named != path:
            values[key] = named
    return with_values(overrides, values)
