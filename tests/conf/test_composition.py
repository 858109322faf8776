"""The YAML files: each composes and stays short."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from omegaconf import OmegaConf

from conf.keys import walk
from conf.schema import TrainConfig
from conf.validate import check_elsewhere
from launch.command.composing import CONF, Composer, open_composer
from launch.run.folder import dump_config
from rewards.presets import PRESETS, preset
from rl.faults import UserError
from rl.types import Task

FILES = sorted(CONF.rglob("*.yaml"))
NAMES = [file.relative_to(CONF).with_suffix("").as_posix().partition("/") for file in FILES if file.parent != CONF]
OPTIONS = [f"{group}={name}" for group, _, name in NAMES] + [f"reward={name}" for name in PRESETS]


@pytest.fixture(scope="module")
def composer() -> Iterator[Composer]:
    with open_composer("train", TrainConfig, []) as opened:
        yield opened


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_composes(option, composer):
    assert isinstance(composer.compose([option]), TrainConfig)


@pytest.mark.parametrize("name", PRESETS)
def test_a_reward_needs_no_other_key_and_takes_its_task_by_name(name, composer):
    plain, task = composer.compose([f"reward={name}"]), preset(name).task
    assert plain.data.task is task
    assert refusal(plain) == refusal(composer.compose([f"reward={name}", f"data.task={task.name}"])) == ""


@pytest.mark.parametrize("name", PRESETS)
def test_another_task_is_taken_or_refused_with_both_keys_and_what_to_do(name, composer):
    plain = composer.compose([f"reward={name}", "data.knowledge.file=knowledge.yaml"])
    for task in Task:
        sentence = refusal(replace(plain, data=replace(plain.data, task=task)))
        assert not sentence or re.match(
            rf"data.task={task.name} asks for answers that reward\.\w+ cannot judge; choose data.task=\w+, .*"
            rf"reward\.\w+\.weight=null, or a reward for {task.name}: reward=\w+",
            sentence,
        )


def refusal(config: TrainConfig) -> str:
    """Return the sentence that refuses a config; "" if it is accepted."""
    try:
        check_elsewhere(config)
    except UserError as error:
        return str(error)
    return ""


def test_the_reward_of_yes_and_no_takes_both_tasks_with_a_verdict(composer):
    for task in ("yes_no", "boxes"):
        check_elsewhere(composer.compose(["reward=yes_no", f"data.task={task}"]))


def test_an_experiment_with_another_reward_asks_for_its_answers(composer):
    config = composer.compose(["experiment=judo_mini", "reward=dcr2ad"])
    assert (config.data.task, config.data.knowledge.file) == (Task.routed, "data/demo/knowledge.yaml")


@pytest.mark.parametrize("experiment", ["demo", "mmr_ad", "judo", "judo_mini"])
def test_an_experiment_has_less_than_150_leaves(experiment, composer):
    config = yaml.safe_load(dump_config(composer.compose([f"experiment={experiment}"])))
    assert len(list(walk(TrainConfig))) == num_leaves(config) <= 150


def num_leaves(config: Any) -> int:
    return sum(num_leaves(value) for value in config.values()) if isinstance(config, dict) and config else 1


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(CONF)))
def test_a_file_is_at_most_40_lines(file: Path):
    assert len(file.read_text().splitlines()) <= 40


def test_the_command_line_wins_over_the_experiment(composer):
    config = composer.compose(["experiment=demo", "model=qwen2_5_vl_3b", "algo.num_prompts=4"])
    assert (config.model.path, config.algo.num_prompts) == ("Qwen/Qwen2.5-VL-3B-Instruct", 4)


@pytest.mark.parametrize("steps", ["3..5", "4"])
def test_the_steps_of_a_profile_are_typed_without_quotes(steps, composer):
    assert composer.compose([f"profile.steps={steps}"]).profile.steps == steps


def test_mmr_ad_has_the_numbers_of_the_paper(composer):
    config = composer.compose(["experiment=mmr_ad"])
    algo, rollout = config.algo, config.rollout
    assert (algo.num_prompts, algo.num_completions, algo.num_updates) == (32, 8, 4)
    assert (algo.clip_low, algo.clip_high, algo.kl_weight, algo.lr) == (0.2, 0.2, 0.001, 2e-6)
    assert algo.aggregation.name == "token_mean" and algo.weight_decay == 0.01
    assert algo.warmup_steps == 0.1 * config.num_steps * algo.num_updates
    assert (rollout.max_prompt_tokens, rollout.max_response_tokens) == (2048, 512)
    assert rollout.temperature == 1.0


def test_a_dumped_config_reads_back_as_itself(composer):
    config = composer.compose(["experiment=demo", "algo.kl_estimator=k1", "seed=7"])
    again = OmegaConf.to_object(
        OmegaConf.merge(OmegaConf.structured(TrainConfig), OmegaConf.create(dump_config(config)))
    )
    assert again == config


def test_run_folders_are_named_after_the_experiment_and_the_time(composer):
    output = Path(composer.compose(["experiment=mmr_ad"]).output)
    assert output.parts[:2] == ("runs", "mmr_ad") and len(output.parts) == 3
