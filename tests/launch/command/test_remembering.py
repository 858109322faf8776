"""A model is asked as it was trained, unless something else is typed."""

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from builders.checkpoint_folders import write_checkpoint
from conf.schema import UNREAD_BY_PREDICT, PredictConfig, TrainConfig
from launch.__main__ import assay
from launch.command.composing import open_composer
from launch.command.remembering import remember
from launch.run.folder import plain
from rl.data.config import DataConfig, Instructions
from rl.faults import UserError
from rl.types import Task

TRAINED = TrainConfig(data=DataConfig(task=Task.yes_no, instructions=Instructions.none, square=112))


@pytest.fixture
def run(tmp_path: Path) -> Path:
    write_checkpoint(tmp_path / "photos", 60, config=plain(TRAINED))
    return tmp_path / "photos"


def remembered(run: Path, *typed: str, data: DataConfig | None = None) -> tuple[PredictConfig, list[str]]:
    """Return the config of a predict with these overrides, after the model of `run` was remembered."""
    composed = OmegaConf.structured(PredictConfig(data=data or DataConfig()))
    composed.model.path = str(run)
    said = remember(composed, typed, PredictConfig, UNREAD_BY_PREDICT)
    config = OmegaConf.to_object(composed)
    assert isinstance(config, PredictConfig)
    return config, said


def test_a_run_brings_its_task_form_and_size_and_says_so(run: Path):
    config, (sentence,) = remembered(run)
    assert (config.data.task, config.data.instructions, config.data.square) == (Task.yes_no, Instructions.none, 112)
    assert sentence == (f"{run} is asked as in its training: data.task=yes_no, data.instructions=none, data.square=112")


def test_what_is_typed_wins_and_is_warned_of(run: Path):
    config, said = remembered(run, "data.square=224", data=DataConfig(square=224))
    assert config.data.square == 224 and config.data.task is Task.yes_no
    assert said[1] == f"warning: {run} is asked otherwise than in its training: data.square=224, where it was 112"


@pytest.mark.parametrize("named", ["experiment=mmr_ad", "data=folder", "reward=yes_no_boxes"])
def test_what_a_named_file_sets_wins(run: Path, named: str):
    config, (*_, sentence) = remembered(run, named)
    assert config.data.task is Task.boxes
    assert sentence.startswith("warning: ") and "data.task=boxes, where it was yes_no" in sentence


def test_a_key_that_the_verb_ignores_is_left_out(run: Path):
    config, said = remembered(run, data=DataConfig(with_reference=False))
    assert not config.data.with_reference and "with_reference" not in said[0]


def test_nothing_is_said_where_nothing_differs(run: Path):
    assert remembered(run, data=TRAINED.data)[1] == []


def test_of_a_named_reward_and_model_the_model_has_the_task_if_the_reward_can_judge_it():
    tasks = {}
    with open_composer("train", TrainConfig, []) as composer:
        for typed in ("reward=cgro", "reward=yes_no model=starter_yes_no", "reward=judo model=starter_yes_no"):
            tasks[typed] = composer.compose(typed.split()).data.task.name
    assert list(tasks.values()) == ["yes_no", "yes_no", "grid"]


def test_a_refusal_says_that_the_model_brought_the_key_along(capsys):
    assert assay(["train", "model=starter_yes_no"]) == 2
    sentence = capsys.readouterr().err
    assert sentence.startswith("assay train: data.task=yes_no asks for answers that reward.box cannot judge")
    assert "; models/starter_yes_no is asked as in its training: data.task=yes_no, " in sentence


def test_a_config_that_is_only_shown_says_what_the_model_brings_along(run: Path, capsys):
    assert assay(["predict", f"model={run}", "input=photos", "--cfg", "job"]) == 0
    assert "data.square=112" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"task": "box"}, r"data\.task must be one of yes_no, boxes, .*; got box; mend its assay\.json"),
        ({"square": "wide"}, r"data\.square must be an integer ≥ 0; got wide"),
        ({"question": "${oc.env:HOME}"}, r"data\.question must not hold \$\{"),
        ({"anomaly_words": ["rust", "${oc.env:HOME}"]}, r"data\.anomaly_words must not hold \$\{"),
    ],
)
def test_a_model_of_a_stranger_is_not_believed(tmp_path: Path, values: dict, sentence: str):
    write_checkpoint(tmp_path, 1, config={"data": values})
    with pytest.raises(UserError, match=f"model.path={tmp_path} says wrongly how it was asked: {sentence}"):
        remembered(tmp_path)


def test_without_a_model_the_working_folder_is_not_taken_for_one(tmp_path: Path, monkeypatch):
    (tmp_path / "assay.json").write_text('{"data.square": 112}')
    monkeypatch.chdir(tmp_path)
    composed = OmegaConf.structured(PredictConfig())
    assert remember(composed, [], PredictConfig, UNREAD_BY_PREDICT) == [] and composed.data.square == 0


def test_a_typed_model_and_its_numbers_reach_the_config_of_a_training(run: Path):
    with open_composer("train", TrainConfig, []) as composer:
        config = composer.compose([f"model.path={run}", "data.root=photos"])
        named = composer.compose([f"model.path={run}", "data.root=photos", "data.square=0"])
    assert (config.data.task, config.data.square, config.data.root) == (Task.yes_no, 112, "photos")
    assert (named.data.task, named.data.square) == (Task.yes_no, 0)


def test_the_starters_say_how_they_were_trained():
    found = {}
    with open_composer("predict", PredictConfig, []) as composer:
        for name in ("starter", "starter_forms", "starter_routed", "starter_yes_no"):
            data = composer.compose([f"model={name}", "input=photos"]).data
            found[name] = (data.task.name, data.instructions.name)
    assert found == {
        "starter": ("boxes", "none"),
        "starter_forms": ("yes_no", "none"),
        "starter_routed": ("routed", "none"),
        "starter_yes_no": ("yes_no", "none"),
    }
