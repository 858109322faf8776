"""The results of a sweep: sweep.csv, sweep.html, the terminal's table and the exit code."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from conf.schema import TrainConfig
from launch.command.app import run_verb
from launch.command.composing import jobs_of, open_composer
from launch.command.member_files import begin_member, fail_member, member_value
from launch.command.sweep import finish_sweep, main
from launch.command.verb import Verb
from rl.faults import UserError


def run_member(folder: Path, number: int, reward: float | None) -> None:
    own = folder / str(number)
    begin_member(own, ["experiment=demo", f"algo.lr=1e-{number}"])
    if reward is None:
        fail_member(own, "the data [in photos] are corrupt; remove them")
    else:
        (own / "summary.json").write_text(json.dumps({"reward_last": reward}))


def test_members_are_ranked_in_all_three_places(tmp_path, capsys):
    for number, reward in enumerate([1.0, None, 2.0]):
        run_member(tmp_path, number, reward)
    assert finish_sweep(tmp_path, "reward_last") == 1
    with (tmp_path / "sweep.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["place"], row["member"], row["algo.lr"], row["reward_last"]) for row in rows] == [
        ("1", "2", "1e-2", "2.0"),
        ("2", "0", "1e-0", "1.0"),
        ("", "1", "1e-1", ""),
    ]
    assert rows[2]["failed"] == "the data [in photos] are corrupt; remove them"
    assert "remove them" in (tmp_path / "sweep.html").read_text()
    out = capsys.readouterr().out
    assert out.index("1e-2") < out.index("1e-0") < out.index("✗ 1 (lr=1e-1): the data [in photos] are corrupt")
    assert out.splitlines()[-1] == f"sweep: {tmp_path / 'sweep.html'}"


def test_a_sweep_whose_members_all_ended_well_returns_0(tmp_path):
    run_member(tmp_path, 0, 1.0)
    assert finish_sweep(tmp_path, "reward_last") == 0


def test_a_sweep_whose_members_all_failed_is_told_all_the_same(tmp_path, capsys):
    run_member(tmp_path, 0, None)
    assert finish_sweep(tmp_path, "reward_last") == 1
    assert "corrupt" in capsys.readouterr().out


def test_an_entry_that_is_not_there_can_be_mended_without_training_again(tmp_path):
    run_member(tmp_path, 0, 1.0)
    with pytest.raises(ValueError, match="reward, which should rank the sweep, is in no member's summary.json"):
        finish_sweep(tmp_path, "reward")
    assert main([str(tmp_path), "reward_last"]) == 0


def test_the_note_of_a_failure_does_not_replace_what_the_run_wrote(tmp_path):
    run_member(tmp_path, 0, 1.0)
    fail_member(tmp_path / "0", "another sentence")
    assert member_value(tmp_path / "0", "reward_last") == 1.0


def test_a_member_that_failed_has_no_value(tmp_path):
    begin_member(tmp_path / "0", [])
    assert member_value(tmp_path / "0", "reward_last") is None
    (tmp_path / "0/summary.json").write_text(json.dumps({"reward_last": 1.0, "failed": "stopped"}))
    assert member_value(tmp_path / "0", "reward_last") is None


def test_a_sweeper_that_chooses_as_it_goes_is_checked_at_the_ends_of_what_it_may_choose():
    offered = ["seed=1", "algo.lr=tag(log,interval(1e-5,1e-4))", "algo=grpo,dr_grpo", "num_steps=range(1,6,2)"]
    assert jobs_of(offered, "optuna") == [
        ["seed=1", "algo.lr=1e-05", "algo=grpo", "num_steps=1"],
        ["seed=1", "algo.lr=0.0001", "algo=dr_grpo", "num_steps=5"],
    ]


def test_an_interval_needs_a_sweeper_that_can_choose():
    with pytest.raises(ValueError, match="cannot sweep: BasicSweeper does not support sweep type : INTERVAL"):
        jobs_of(["algo.lr=interval(1e-5,1e-4)"], "basic")


def test_a_sweeper_that_is_not_installed_is_one_sentence():
    with pytest.raises(ValueError, match="hydra/sweeper/optun is not installed; Optuna comes with the extra `sweep`"):
        with open_composer("train", TrainConfig, ["hydra/sweeper=optun"]):
            pass


def write_summary(config: TrainConfig) -> int:
    """A training whose reward is its learning rate; seed 13 fails."""
    if config.seed == 13:
        raise UserError("photos/1.png is corrupt; remove it")
    (Path(config.output) / "summary.json").write_text(json.dumps({"reward_last": config.algo.lr}))
    return 0


def sweep(arguments: list[str], run: Callable[[TrainConfig], int] = write_summary) -> int:
    verb = Verb(
        name="train",
        summary="Train.",
        examples=(),
        schema=TrainConfig,
        run=run,
        trains=True,
    )
    return run_verb(verb, ["-m", "output=swept", *arguments])


@pytest.mark.slow
def test_optuna_chooses_within_the_interval_and_makes_the_ranking_entry_high(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = ["hydra/sweeper=optuna", "hydra.sweeper.n_trials=3", "hydra.sweeper.sampler.seed=1"]
    assert sweep([*arguments, "algo.lr=tag(log,interval(1e-5,1e-4))"]) == 0
    rates = [json.loads((tmp_path / f"swept/{number}/summary.json").read_text())["reward_last"] for number in range(3)]
    assert len(set(rates)) == 3 and all(1e-5 <= rate <= 1e-4 for rate in rates)
    best = yaml.safe_load((tmp_path / "swept/optimization_results.yaml").read_text())["best_value"]
    assert best == max(rates)


@pytest.mark.slow
def test_a_trial_that_fails_does_not_stop_the_search(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    arguments = ["hydra/sweeper=optuna", "hydra.sweeper.n_trials=4", "hydra/sweeper/sampler=grid"]
    assert sweep([*arguments, "seed=11,12,13,14"]) == 1
    out, err = capsys.readouterr()
    assert "photos/1.png is corrupt; remove it" in out and out.count("(seed=13)") == 1
    assert len(list((tmp_path / "swept").glob("*/summary.json"))) == 4


@pytest.mark.slow
def test_a_second_sweep_into_the_same_folder_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert sweep(["algo.lr=1e-5,1e-4"]) == 0
    noted = (tmp_path / "swept/0/overrides.json").read_text()
    assert sweep(["algo.lr=1e-3,1e-2"]) == 2
    assert "output=swept holds the sweep of swept/0; give another folder" in capsys.readouterr().err
    assert (tmp_path / "swept/0/overrides.json").read_text() == noted


@pytest.mark.slow
def test_a_member_that_is_interrupted_is_the_last_one_begun(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert sweep(["seed=1,2,3"], interrupted_at_seed_2) == 130
    assert sorted(path.name for path in (tmp_path / "swept").glob("[0-9]")) == ["0", "1"]


def interrupted_at_seed_2(config: TrainConfig) -> int:
    ended = "reward_last" if config.seed != 2 else "stopped"
    (Path(config.output) / "summary.json").write_text(json.dumps({ended: 1.0 if config.seed != 2 else "by Ctrl-C"}))
    return 130 if config.seed == 2 else 0


def test_a_wrong_key_of_a_search_is_named_before_its_first_trial(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert sweep(["hydra/sweeper=optuna", "algo.lrr=interval(1e-5,1e-4)"]) == 2
    assert sweep(["hydra/sweeper=optuna", "algo.num_completions=range(1,8)"]) == 2
    err = capsys.readouterr().err
    assert "algo.lrr is not a key; did you mean algo.lr?" in err and "algo.num_completions must be ≥ 2; got 1" in err
    assert list(tmp_path.iterdir()) == []
