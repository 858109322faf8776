"""Where model.path leads, and config values that follow from a model's folder."""

import json
from pathlib import Path

import pytest

from conf.models import check_model_path, precision_of
from conf.schema import TrainConfig
from conf.validate import check_here
from launch.command.composing import open_composer
from rl.faults import UserError

ROOT = Path(__file__).parents[2]
STARTERS = ("starter", "starter_forms", "starter_routed", "starter_yes_no")


@pytest.mark.parametrize(
    ("config", "precision"),
    [
        ({"dtype": "float32"}, "fp32"),
        ({"torch_dtype": "float32"}, "fp32"),
        ({"dtype": "bfloat16", "torch_dtype": "float32"}, "bf16"),
        ({"torch_dtype": "float16"}, "bf16"),
        ({}, "bf16"),
    ],
)
def test_the_precision_is_that_of_the_saved_weights(config, precision, tmp_path: Path):
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert precision_of(str(tmp_path)) == precision


@pytest.mark.parametrize("path", ["", "owner/name", "nowhere"])
def test_a_path_that_is_no_folder_is_bf16(path):
    assert precision_of(path) == "bf16"


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[]", b"null"])
def test_a_broken_config_is_one_sentence_with_its_path(content, tmp_path: Path):
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(ValueError) as caught:
        precision_of(str(tmp_path))
    sentence = str(caught.value)
    assert sentence.startswith(f"{tmp_path}/config.json: ") and "; " in sentence
    assert "\n" not in sentence


def model_of(*typed: str) -> str:
    with open_composer("train", TrainConfig, []) as composer:
        return composer.compose(typed).model.path


@pytest.mark.parametrize("name", STARTERS)
def test_a_model_that_comes_with_assay_is_found_from_any_folder(name: str, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert model_of(f"model={name}") == f"models/{name}"
    monkeypatch.chdir(tmp_path)
    assert model_of(f"model={name}") == str(ROOT / "models" / name)
    check_model_path(str(ROOT / "models" / name))


def test_the_default_model_of_a_training_is_the_one_that_comes_with_assay(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with open_composer("train", TrainConfig, []) as composer:
        config = composer.compose(["data.root=."])
    check_here(config)
    assert Path(config.model.path) == ROOT / "models/starter"


@pytest.mark.parametrize(
    "path",
    ["models/mine", "runs/mine", "data/mine", "checkpoints/step_60", "step_60/hf", "1_sft/model", "~/mine", "a/b/c"],
)
def test_a_folder_that_is_not_there_does_not_become_a_hub_id(path: str, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=f"^model.path: '{path}' is neither a folder nor a hub id such as owner/name$"):
        check_model_path(path)


def test_a_folder_whose_parent_is_there_does_not_become_a_hub_id(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    with pytest.raises(UserError, match="neither a folder nor a hub id"):
        check_model_path("mine/model")


@pytest.mark.parametrize("path", ["Qwen/Qwen2.5-VL-3B-Instruct", "owner/name", "0wner-1/my_model.v2"])
def test_a_hub_id_that_was_typed_stays_one(path: str, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    check_model_path(path)
    assert model_of(f"model.path={path}") == path


def test_a_starter_that_is_typed_as_a_folder_elsewhere_is_named_as_it_should_be(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(ROOT)
    check_model_path("models/starter")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as caught:
        check_model_path("models/starter")
    assert str(caught.value) == (
        "model.path: there is no folder 'models/starter' here; the model that comes with Assay is model=starter, from "
        "anywhere"
    )
    with pytest.raises(UserError, match="lie in its checkout, so install that with pip -e"):
        check_model_path(str(ROOT / "models/gone"))
