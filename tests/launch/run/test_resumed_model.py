"""`model=RUN` of a resumed run is the checkpoint that it started from, although that run has gone on."""

import json
import shutil
from pathlib import Path

import pytest

from actors.config import ModelConfig
from builders.checkpoint_folders import write_checkpoint
from conf.schema import TrainConfig
from launch.run.folder import AUTO
from launch.run.paths import with_absolute_paths
from launch.run.resume import with_first_model
from launch.train.begin import main


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    """Return a folder with run a, which has gone on from step 2 to step 4, and run b, which started from step 2."""
    monkeypatch.chdir(tmp_path)
    config = {"data": {}, "model": {"path": "owner/name", "precision": "float32"}}
    for step in (2, 4):
        write_checkpoint(Path("runs/a"), step, config=config)
    first = tmp_path / "runs/a/checkpoints/step_2/hf"
    write_checkpoint(Path("runs/b"), 5, config={**config, "model": {"path": str(first), "precision": "float32"}})
    Path("runs/b/metrics.jsonl").touch()
    return tmp_path


def resumed(path: str, resume: str = AUTO, output: str = "runs/b") -> TrainConfig:
    return TrainConfig(model=ModelConfig(path=path), resume=resume, output=output)


def model_of(config: TrainConfig) -> str:
    return with_absolute_paths(with_first_model(config, Path(config.output))).model.path


@pytest.mark.parametrize("path", ["runs/a", "runs/../runs/a", "runs/a/checkpoints/step_2"])
@pytest.mark.parametrize(
    ("resume", "output"), [(AUTO, "runs/b"), ("runs/b", "runs/c"), ("runs/b/checkpoints/step_5", "runs/c")]
)
def test_a_resumed_run_keeps_the_checkpoint_that_it_started_from(path, resume, output, folder):
    assert model_of(resumed(path, resume, output)) == str(folder / "runs/a/checkpoints/step_2/hf")


@pytest.mark.parametrize(("resume", "output"), [("", "runs/b"), (AUTO, "runs/new")])
def test_a_run_that_starts_anew_takes_the_newest_checkpoint(resume, output, folder):
    assert model_of(resumed("runs/a", resume, output)) == str(folder / "runs/a/checkpoints/step_4/hf")


def test_another_checkpoint_or_model_that_was_named_is_not_replaced(folder):
    assert model_of(resumed("runs/a/checkpoints/step_4")) == str(folder / "runs/a/checkpoints/step_4/hf")
    assert model_of(resumed("owner/name")) == "owner/name"


def test_a_chain_that_has_made_another_model_stands_for_the_one_that_the_run_started_from(folder):
    Path("runs/chain/1_sft/model").mkdir(parents=True)
    Path("runs/chain/2_rl/model").mkdir(parents=True)
    Path("runs/chain/chain.json").write_text(json.dumps({"stages": ["1_sft", "2_rl"], "done": {}}))
    first = str(folder / "runs/chain/1_sft/model")
    write_checkpoint(Path("runs/d"), 5, config={"model": {"path": first}})
    assert model_of(resumed("runs/chain", output="runs/d")) == first


def test_a_first_model_that_was_removed_is_named_in_one_sentence(folder):
    shutil.rmtree("runs/a/checkpoints/step_2")
    with pytest.raises(ValueError) as caught:
        main(resumed("runs/a"))
    assert str(caught.value) == (
        f"model.path={folder}/runs/a/checkpoints/step_2/hf: there is no such folder; bring back the model that the run "
        "to be resumed started from, or start anew in another output="
    )
