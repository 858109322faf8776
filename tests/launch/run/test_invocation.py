"""What was typed reaches the run: its title and the command that starts it again."""

import json
from pathlib import Path

import pytest

from conf.schema import TrainConfig
from launch.command.app import run_verb
from launch.command.verb import Verb
from launch.run.invocation import invocation


def write_invocation(config: TrainConfig) -> int:
    """A training that keeps its invocation."""
    folder, by = Path(config.output), invocation()
    folder.mkdir(parents=True, exist_ok=True)
    told = {"title": by.title, "command": by.command, "experiment": by.experiment, "reward_last": 1.0}
    (folder / "summary.json").write_text(json.dumps(told))
    return 0


TRAIN = Verb(name="train", summary="Train.", examples=(), schema=TrainConfig, run=write_invocation, trains=True)


def told(folder: Path) -> dict[str, str]:
    return json.loads((folder / "summary.json").read_text())


def test_a_run_knows_its_experiment_its_overrides_and_the_command(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    typed = ["experiment=judo_mini", "algo.lr=1e-5", "output=runs/mine (1)", "logging.group=papers", "seed=1"]
    assert run_verb(TRAIN, typed) == 0
    run = told(tmp_path / "runs/mine (1)")
    assert (run["title"], run["experiment"]) == ("judo_mini algo.lr=1e-5 seed=1", "judo_mini")
    assert run["command"] == (
        "assay train experiment=judo_mini algo.lr=1e-5 'output=runs/mine (1)' logging.group=papers seed=1"
    )


def test_a_member_of_a_sweep_is_named_by_its_own_values_and_its_command_runs_it_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    assert run_verb(TRAIN, ["-m", "algo.lr=1e-5,1e-4", "output=swept", "--config-dir", "mine"]) == 0
    member = told(tmp_path / "swept/1")
    assert member["title"] == "demo algo.lr=0.0001"
    assert member["command"] == "assay train algo.lr=0.0001 output=swept/1 logging.group=swept --config-dir mine"


def test_nothing_was_typed_for_a_run_that_was_started_from_python():
    assert (invocation().title, invocation().command) == ("", "")


@pytest.mark.parametrize("number", [0, 1])
def test_an_invocation_ends_with_its_run(tmp_path, monkeypatch, number):
    monkeypatch.chdir(tmp_path)
    run_verb(TRAIN, [f"output=runs/{number}"])
    assert invocation().title == ""
