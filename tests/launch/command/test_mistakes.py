"""Hints for mistyped keys: the names of other trainers, the nearest name of ours, or none."""

import re

import pytest

from conf.keys import sections, walk
from conf.schema import PredictConfig, ScoreConfig, TrainConfig
from launch.command.mistakes import check_option, meant, parse_overrides, unknown_key
from launch.command.other_names import OTHER_NAMES
from rl.faults import UserError

GROUPS = ("model", "data", "reward", "algo", "rollout", "cluster", "logging", "experiment", "ablation")
KEYS = {key.path for key in walk(TrainConfig)}
DOTTED = re.compile(r"(?<![\w/])(?:algo|checkpoint|cluster|data|logging|model|reward|rollout)\.\w+(?:\.\w+)*")


@pytest.mark.parametrize("name", OTHER_NAMES)
def test_another_trainers_name_is_told_what_it_is_called_here(name):
    ours = OTHER_NAMES[name]
    assert ours.among([*KEYS, *GROUPS])
    assert {*DOTTED.findall(f"{ours.name} {ours.difference}")} <= KEYS
    told = f"is not a key; it is called {ours.among([*KEYS, *GROUPS])} here"
    assert unknown_key(name, TrainConfig, GROUPS).startswith(f"{name} {told}")
    if "." not in name:
        assert unknown_key(f"trainer.{name.upper()}", TrainConfig, GROUPS).startswith(f"trainer.{name.upper()} {told}")


def test_no_key_of_ours_is_taken_for_another_trainers():
    assert {path.rpartition(".")[2] for path in KEYS} & OTHER_NAMES.keys() <= {"beta", "max_tokens", "steps"}


@pytest.mark.parametrize(
    ("schema", "typed", "hint"),
    [
        (TrainConfig, "algo.learning_rate", "it is called algo.lr here"),
        (TrainConfig, "images", "it is called data.root here"),
        (PredictConfig, "images", "it is called input here"),
        (PredictConfig, "learning_rate", "--help lists the keys"),
        (PredictConfig, "experiment", "only `assay train` has it; --help lists the keys"),
        (PredictConfig, "num_steps", "only `assay train` has it; --help lists the keys"),
        (ScoreConfig, "data.task", "did you mean task?"),
        (TrainConfig, "algo.num_promts", "did you mean algo.num_prompts?"),
        (TrainConfig, "trainer.seed", "did you mean seed?"),
        (TrainConfig, "reward.format.wieght", "did you mean reward.format.weight?"),
        (TrainConfig, "data.path", "it is called data.root here, a folder of images; docs/data.md has the layouts"),
        (TrainConfig, "checkpoint.best", "--help lists the keys"),
        (TrainConfig, "patience", "--help lists the keys"),
        (TrainConfig, "deepspeed", "--help lists the keys"),
    ],
)
def test_a_key_that_is_not_there_gets_a_hint_only_if_a_name_is_alike(schema, typed, hint):
    groups = GROUPS if schema is TrainConfig else [*sections(schema)]
    assert unknown_key(typed, schema, groups) == f"{typed} is not a key; {hint}"


@pytest.mark.parametrize(
    ("typed", "meant_key"),
    [
        ("checkpoint.steps", "checkpoint.every"),
        ("checkpoint.save_steps", "checkpoint.every"),
        ("checkpoint.dir", "output"),
        ("checkpoint.resume", "resume"),
        ("rollout.batch_size", "rollout.max_num_seqs"),
        ("rollout.images", "rollout.max_images"),
        ("rollout.n", "algo.num_completions"),
        ("rollout.max_tokens", "rollout.max_response_tokens"),
        ("data.batch_size", "algo.num_prompts"),
        ("data.epochs", "num_epochs"),
        ("model.lr", "algo.lr"),
        ("model.name", "model"),
        ("algo.train_steps", "num_steps"),
        ("algo.warmup", "algo.warmup_steps"),
        ("logging.name", "logging.run_name"),
        ("cluster.batch_size", "cluster.micro_batch_tokens"),
    ],
)
def test_a_name_in_a_section_of_ours_is_looked_for_there_first(typed, meant_key):
    hint = unknown_key(typed, TrainConfig, GROUPS).removeprefix(f"{typed} is not a key; ")
    assert re.match(rf"(it is called {meant_key} here|did you mean {meant_key}\?)", hint), hint


def test_a_name_like_no_choice_gets_no_hint():
    assert meant("cifar10", ["demo", "judo"]) == ""
    assert meant("dmeo", ["demo", "judo"], "experiment=") == "did you mean experiment=demo?"


def test_a_folder_without_a_model_is_not_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs/demo/2026-01-01").mkdir(parents=True)
    (override,) = parse_overrides(["model=demo"])
    with pytest.raises(UserError, match="^model=demo is not an option; there are starter"):
        check_option(override, ["starter"])


@pytest.mark.parametrize("folder", ["models/mine", "runs/mine", "runs/demo/mine"])
def test_the_name_of_a_model_or_run_is_answered_by_its_folder(tmp_path, monkeypatch, folder):
    monkeypatch.chdir(tmp_path)
    holds = "config.json" if folder.startswith("models") else "checkpoints"
    (tmp_path / folder / holds).mkdir(parents=True)
    (tmp_path / "runs/starters/mine").mkdir(parents=True)
    (override,) = parse_overrides(["model=mine"])
    with pytest.raises(
        UserError, match=f"model=mine is not an option, but {folder} is a folder; write model={folder}$"
    ):
        check_option(override, ["starter"])


def test_only_a_model_is_looked_for_among_folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models/mine").mkdir(parents=True)
    (override,) = parse_overrides(["algo=mine"])
    with pytest.raises(UserError, match="^algo=mine is not an option; there are grpo, sft$"):
        check_option(override, ["grpo", "sft"])
