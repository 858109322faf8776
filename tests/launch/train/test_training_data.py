"""The data of a training: how many samples, what they or the model cannot do, and what is refused."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import rl.import_fixes  # noqa: F401

import pytest

from actors.config import ModelConfig
from conf.schema import TrainConfig
from launch.command.composing import open_composer
from launch.train.begin import read_data
from rewards.component import ComponentConfig
from rewards.config import FunctionConfig, RewardConfig
from rewards.domain import DomainConfig
from rewards.presets import preset
from rl.algorithm import Objective
from rl.data.config import DataConfig, Instructions
from rl.data.demo.synthesis import write_demo

STARTER = str(Path(__file__).parents[3] / "models/starter")


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    root = tmp_path / "parts"
    write_demo(root, seed=0, num_parts=6)
    return root


def config(root: Path, model: str = STARTER, **options) -> TrainConfig:
    data = DataConfig(root=str(root), instructions=Instructions.none, **options)
    return TrainConfig(model=ModelConfig(path=model), data=data)


def test_the_line_about_the_data_has_the_numbers_of_both_sides(parts: Path):
    data = read_data(config(parts, num_heldout=3))
    count = len(data.training)
    assert data.in_words.startswith(f"training: {count} samples, ") and "; held out: 3 samples, " in data.in_words
    assert data.in_words.endswith(f"; {24 - count - 3} more than data.num_heldout are left out")
    assert "left out" not in read_data(config(parts, num_heldout=0)).in_words


def test_a_starter_is_at_home_among_the_demos_parts(parts: Path):
    assert not [sentence for sentence in read_data(config(parts)).warnings if "starter" in sentence]


def test_a_starter_that_meets_photos_of_other_things_is_warned_of(parts: Path):
    shutil.move(parts / "wood", parts / "zipper")
    (sentence,) = [each for each in read_data(config(parts)).warnings if "starter" in each]
    assert sentence.startswith(
        f"model.path={STARTER} is a starter or comes from one: with its vocabulary of 490 tokens"
    )
    assert f"data.root={parts}" in sentence and sentence.endswith("e.g. model=qwen2_5_vl_3b")


def test_materials_of_the_demo_that_it_did_not_write_are_photos_too(parts: Path):
    (parts / "knowledge.yaml").unlink()
    assert [each for each in read_data(config(parts)).warnings if "starter" in each]
    (parts / "knowledge.yaml").write_text("Mine: {leather: {good: Even.}}")
    assert [each for each in read_data(config(parts)).warnings if "starter" in each]


def test_data_of_one_label_are_warned_of(parts: Path):
    for material in parts.glob("*/test"):
        shutil.rmtree(material / "good")
        (material.parent / "annotations.json").unlink()
    data = read_data(config(parts, heldout_share=0.5))
    assert any(each.startswith("all 12 samples are defective: ") for each in data.warnings)


@pytest.fixture(scope="module")
def composed(tmp_path_factory: pytest.TempPathFactory) -> TrainConfig:
    folder = tmp_path_factory.mktemp("demo")
    write_demo(folder, seed=0, num_parts=8)
    with open_composer("train", TrainConfig, []) as composer:
        return composer.compose([f"model.path={STARTER}", f"data.root={folder}"])


def looks_for_boxes(prompts, completions, **columns):
    print(f"{len(completions)} answers to {columns['id'][0]}")
    return [float(text.index("bbox_2d")) for text in completions]


def with_reward(composed: TrainConfig, **options) -> TrainConfig:
    return replace(composed, reward=RewardConfig(format=ComponentConfig(weight=1.0), **options))


def test_a_reward_function_that_fails_on_a_malformed_answer_is_named_before_an_actor_starts(composed, capsys):
    functions = [FunctionConfig(path=f"{__name__}.looks_for_boxes")]
    with pytest.raises(ValueError, match=r"reward looks_for_boxes raised ValueError .*test_training_data\.py:\d+\)$"):
        read_data(with_reward(composed, functions=functions))
    first, *_ = read_data(composed).training
    assert capsys.readouterr().out == f"reward looks_for_boxes: 2 answers to {first.id}\n"


def test_a_missing_sentence_encoder_is_named_before_an_actor_starts(composed, tmp_path):
    domain = DomainConfig(weight=1.0, model=str(tmp_path))
    with pytest.raises(ValueError, match=r"reward\.domain\.model=.* is no folder of a sentence-transformers model"):
        read_data(with_reward(composed, domain=domain))


def test_a_sample_that_no_lesson_teaches_needs_no_boxes(parts: Path, tmp_path: Path):
    asked = replace(config(parts, num_heldout=0), reward=preset("yes_no_boxes").config)
    whole = read_data(asked)
    taught = next(sample for sample in whole.training if not sample.target.boxes)
    held_out = {sample.id.split("/")[0] for sample in whole.heldout if sample.target.boxes}
    with_boxes = [sample.id.split("/")[0] for sample in whole.training if sample.target.boxes]
    without = next(category for category in with_boxes if category not in held_out)
    shutil.rmtree(parts / without / "ground_truth")
    (parts / without / "annotations.json").unlink()
    lessons = tmp_path / "lessons.jsonl"
    lessons.write_text(json.dumps({"id": taught.id, "chosen": "<think>Even.</think><answer>No.</answer>"}) + "\n")
    with pytest.raises(ValueError, match="nothing says where its defect is"):
        read_data(asked)
    data = replace(asked.data, lessons=str(lessons))
    read = read_data(replace(asked, data=data, algo=replace(asked.algo, objective=Objective.sft)))
    assert [sample.id for sample in read.training] == [taught.id]
