"""What the driver finds out about a run before an actor starts."""

from dataclasses import replace
from pathlib import Path

import rl.import_fixes  # noqa: F401

import pytest

from conf.schema import TrainConfig
from launch.command.composing import open_composer
from launch.train.begin import read_data
from rewards.component import ComponentConfig
from rewards.config import FunctionConfig, RewardConfig
from rewards.domain import DomainConfig
from rl.data.demo.synthesis import write_demo

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> TrainConfig:
    folder = tmp_path_factory.mktemp("demo")
    write_demo(folder, seed=0, num_parts=8)
    with open_composer("train", TrainConfig, []) as composer:
        return composer.compose([f"model.path={ROOT / 'models/starter'}", f"data.root={folder}"])


def looks_for_boxes(prompts, completions, **columns):
    print(f"{len(completions)} answers to {columns['id'][0]}")
    return [float(text.index("bbox_2d")) for text in completions]


def with_reward(config: TrainConfig, **options) -> TrainConfig:
    return replace(config, reward=RewardConfig(format=ComponentConfig(weight=1.0), **options))


def test_a_reward_function_that_fails_on_a_malformed_answer_is_named_before_an_actor_starts(config, capsys):
    functions = [FunctionConfig(path=f"{__name__}.looks_for_boxes")]
    with pytest.raises(ValueError, match=r"reward looks_for_boxes raised ValueError .*test_train_data\.py:\d+\)$"):
        read_data(with_reward(config, functions=functions))
    first, *_ = read_data(config).training
    assert capsys.readouterr().out == f"reward looks_for_boxes: 2 answers to {first.id}\n"


def test_a_missing_sentence_encoder_is_named_before_an_actor_starts(config, tmp_path):
    domain = DomainConfig(weight=1.0, model=str(tmp_path))
    with pytest.raises(ValueError, match=r"reward\.domain\.model=.* is no folder of a sentence-transformers model"):
        read_data(with_reward(config, domain=domain))
