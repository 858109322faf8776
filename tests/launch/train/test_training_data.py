"""The data of a training: how many samples, and what they or the model cannot do."""

import shutil
from pathlib import Path

import pytest

from actors.config import ModelConfig
from conf.schema import TrainConfig
from launch.train.begin import read_data
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
