from dataclasses import replace
from pathlib import Path

from conf.schema import TrainConfig
from launch.command.composing import open_composer
from launch.run.invocation import Invocation, invoked
from launch.run.paths import with_absolute_paths
from launch.train.provenance import changed_keys, provenance
from rewards.component import ComponentConfig
from rl.data.config import DataConfig
from rl.types import Task


def test_only_keys_that_differ_from_the_schemas_defaults_are_told() -> None:
    config = TrainConfig(seed=3, output="runs/1", resume="auto")
    config = replace(config, algo=replace(config.algo, lr=3e-5), data=replace(config.data, task=Task.yes_no))
    found = changed_keys(with_absolute_paths(config))
    assert found == [("seed", "0", "3"), ("data.task", "boxes", "yes_no"), ("algo.lr", "1e-06", "3e-05")]


def test_values_are_told_as_they_are_typed() -> None:
    config = TrainConfig(data=DataConfig(anomaly_words=["crack", "hole"], with_reference=False))
    config = replace(config, reward=replace(config.reward, format=ComponentConfig(weight=0.5)))
    told = {key: (old, new) for key, old, new in changed_keys(config)}
    assert told["data.anomaly_words"][1] == "[crack,hole]"
    assert told["data.with_reference"] == ("true", "false")
    assert told["reward.format.weight"] == ("null", "0.5")


def test_a_default_path_is_no_difference_although_a_run_makes_it_absolute() -> None:
    assert changed_keys(with_absolute_paths(TrainConfig())) == []


def test_the_keys_that_an_experiment_sets_are_told_too() -> None:
    with open_composer("train", TrainConfig, []) as composer:
        config = composer.compose(["experiment=demo", "seed=2"])
    keys = {key: value for key, _, value in changed_keys(with_absolute_paths(config))}
    assert (keys["num_steps"], keys["algo.lr"], keys["seed"]) == ("200", "3e-05", "2")


def test_the_command_is_the_one_of_the_run(tmp_path: Path) -> None:
    with invoked(Invocation(command="assay train seed=2")):
        told = provenance(TrainConfig(output=str(tmp_path)))
    assert (told.command, told.folder) == ("assay train seed=2", str(tmp_path))
    assert list(told.versions) == ["code", "python", "torch", "transformers", "vllm", "ray", "verl", "peft"]
