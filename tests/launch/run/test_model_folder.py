"""`model=` takes a run, a chain or a checkpoint in place of a model's folder."""

import json
from pathlib import Path

import pytest
from huggingface_hub import constants

from builders.checkpoint_folders import damage, record, write_checkpoint, write_unfinished
from launch.run.model_folder import asking_at, make_ready, model_folder
from rl.asking import FILE, write_asking
from rl.checkpoints import checkpoint_folder, commit, seal_merged
from rl.faults import UserError

CONFIG = {"data": {"task": "yes_no", "square": 112}, "model": {"path": "models/starter", "precision": "float32"}}
ASKING = {"data.task": "yes_no", "data.square": 112, "model.precision": "float32"}


def test_a_run_stands_for_its_newest_whole_checkpoint(tmp_path: Path):
    write_checkpoint(tmp_path, 2, config=CONFIG)
    damage(write_checkpoint(tmp_path, 4, config=CONFIG))
    assert model_folder(str(tmp_path)) == str(tmp_path / "checkpoints/step_2/hf")
    assert asking_at(str(tmp_path)) == ASKING


def test_a_checkpoint_stands_for_its_model(tmp_path: Path):
    folder = write_checkpoint(tmp_path, 2, config=CONFIG)
    assert model_folder(str(folder)) == str(folder / "hf")
    assert asking_at(str(folder / "hf")) == ASKING


def test_a_model_is_asked_by_its_own_file_although_the_state_beside_it_is_gone(tmp_path: Path):
    folder = write_checkpoint(tmp_path, 2, config=CONFIG)
    damage(folder)
    write_asking(folder / "hf", {"data.square": 56})
    assert asking_at(str(folder / "hf")) == {"data.square": 56}


def write_adapter(run: Path, config: dict) -> Path:
    """Write a checkpoint in which only an adapter learned; return its folder."""
    written, folder = write_unfinished(run, 2), checkpoint_folder(run, 2)
    (written / "hf").rename(written / "adapter")
    commit(folder, record(2, config=config))
    return folder


def test_an_adapter_stands_for_the_model_that_is_made_of_it(tmp_path: Path):
    folder = write_adapter(tmp_path, CONFIG)
    assert model_folder(str(tmp_path)) == str(folder / "merged")
    assert asking_at(str(tmp_path)) == ASKING


def test_an_adapter_whose_base_model_is_gone_is_not_merged_into_a_model_of_that_name_on_the_hub(tmp_path: Path):
    folder = write_adapter(tmp_path, {"model": {"path": "models/gone", "precision": "bf16"}})
    with pytest.raises(UserError, match="its adapter needs the base model models/gone, which is missing; restore it"):
        make_ready(str(folder / "merged"))


def test_a_chain_stands_for_the_last_model_that_it_made(tmp_path: Path):
    (tmp_path / "chain.json").write_text(json.dumps({"stages": ["1_sft", "2_grpo", "3_pairs"], "done": {}}))
    with pytest.raises(ValueError, match="no stage of this chain has made a model yet"):
        model_folder(str(tmp_path))
    for stage in ("1_sft", "2_grpo"):
        (tmp_path / stage / "model").mkdir(parents=True)
    assert model_folder(str(tmp_path)) == str(tmp_path / "2_grpo/model")


def test_a_run_without_checkpoint_is_refused(tmp_path: Path):
    (tmp_path / "config.yaml").touch()
    with pytest.raises(ValueError, match="this run has no checkpoint; wait for one, or resume the run"):
        model_folder(str(tmp_path))


@pytest.mark.parametrize("path", ["", "owner/name", "nowhere"])
def test_everything_else_stays_as_it_is(path: str):
    assert model_folder(path) == path and asking_at(path) == {}


@pytest.mark.parametrize(("cached", "asking"), [({FILE: '{"data.square": 56}'}, {"data.square": 56}), ({}, {})])
def test_a_downloaded_hub_id_is_asked_by_the_file_in_its_snapshot(tmp_path: Path, monkeypatch, cached, asking):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    repository, commit = tmp_path / "models--maker--model", "a" * 40
    for name, text in {"refs/main": commit, **{f"snapshots/{commit}/{file}": cached[file] for file in cached}}.items():
        (repository / name).parent.mkdir(parents=True, exist_ok=True)
        (repository / name).write_text(text)
    assert asking_at("maker/model") == asking


def merged(run: Path) -> Path:
    """Write a checkpoint of an adapter whose merged model is made already; return that model's folder."""
    folder = write_adapter(run, CONFIG) / "merged"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"merged weights")
    seal_merged(folder)
    return folder


def test_a_merged_model_that_was_changed_is_refused(tmp_path: Path):
    folder = merged(tmp_path)
    make_ready(str(folder))
    (folder / "model.safetensors").write_bytes(b"merged veights")
    with pytest.raises(UserError, match="merged: model.safetensors is not what was written.*; remove the folder"):
        make_ready(str(folder))


@pytest.mark.parametrize("content", [None, b"", b"[]", b'{"model.safetensors": {"bytes": 14}}'])
def test_a_merged_model_without_seals_is_refused(tmp_path: Path, content: bytes | None):
    folder = merged(tmp_path)
    (folder / "seals.json").unlink()
    if content is not None:
        (folder / "seals.json").write_bytes(content)
    with pytest.raises(UserError, match="seals.json: cannot be read .* it is made anew"):
        make_ready(str(folder))


def test_a_checkpoints_weights_that_were_changed_are_refused_although_its_state_is_gone(tmp_path: Path):
    folder = write_checkpoint(tmp_path, 2, config=CONFIG)
    damage(folder)
    make_ready(str(folder / "hf"))
    (folder / "hf/model.safetensors").write_bytes(b"veights")
    with pytest.raises(UserError, match="hf/model.safetensors is not what was written"):
        make_ready(str(folder / "hf"))
