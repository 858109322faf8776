import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from actors.placement import Slot
from builders.checkpoint_folders import write_checkpoint
from builders.groups_with_looks import look, looked
from builders.locked_folders import place
from builders.scored_groups import group, score
from conf.schema import TrainConfig
from launch.pages.provenance import Provenance
from launch.run.ending import End, Ending
from launch.run.invocation import Invocation
from launch.run.tracking import Plan, Resumed, RunTracker
from launch.train.begin import main
from launch.train.data import Data
from launch.train.devices import Devices
from launch.train.report import Setup, counted_ranges, summarize, write_run_report
from launch.train.run import Training
from rewards.component import ComponentConfig
from rewards.config import FunctionConfig, RewardConfig
from rewards.consistency import ConsistencyConfig
from rewards.overlong import OverlongConfig
from rl.brake import Brake
from rl.evaluation.config import LoggingConfig, WandbMode
from rl.faults import RunFailure
from rl.timing import Timings

SETUP = Setup(
    num_samples=(10, 1),
    by=Invocation(experiment="demo", overrides=("seed=1",), command="assay train seed=1"),
    provenance=Provenance(command="assay train seed=1", folder="runs/1", versions={}, changed=[]),
    devices=Devices(),
)
REWARD = RewardConfig(
    format=ComponentConfig(weight=1.0),
    accuracy=ComponentConfig(weight=0.0),
    overlong=OverlongConfig(weight=0.5),
    functions=[FunctionConfig(path="mine.shininess"), FunctionConfig(path="mine.gloss", weight=0.0)],
)


def test_ranges_are_of_counted_components_and_unknown_for_user_functions() -> None:
    assert counted_ranges(REWARD) == {"format": (0.0, 1.0), "overlong": (-1.0, 0.0), "shininess": None}


@pytest.mark.parametrize(
    ("ended", "status"),
    [
        ({"stopped": "stopped by Ctrl-C after step 20"}, '"status warn">stopped'),
        ({"failed": "learner 1 died"}, '"status bad">failed'),
        ({}, '"status">finished'),
    ],
)
def test_summary_and_report_have_the_ending_and_the_warnings(tmp_path: Path, ended: dict, status: str) -> None:
    config = TrainConfig(output=str(tmp_path), reward=REWARD)
    plan = Plan(num_steps=20, config={}, ranges={"format": (0.0, 1.0)})
    tracker = RunTracker(tmp_path, LoggingConfig(wandb=WandbMode.disabled), plan, Timings())
    for step in range(1, 21):
        tracker.log(step, [group([score(), replace(score(), total=2.0)])], {"parity/logprob_abs_mean": 0.0})
    summary = summarize(config, tracker, 1.0)
    assert len(summary["warnings"]) == 1 and summary["warnings"][0].startswith("reward format has saturated: 1.000")
    write_run_report(config, tracker, summary | ended, SETUP)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert status in page and summary["warnings"][0] in page
    assert all(sentence in page for sentence in ended.values())


@pytest.mark.parametrize(
    ("rewards", "first", "last"),
    [
        ((3.0, 1.0), 3.0, 1.0),
        ((3.0, 2.0, 9.0, 1.0, 0.0), 2.5, 0.5),
        ((1.0, *[2.0] * 9, *[9.0] * 5, *[3.0] * 9, 1.0), 1.9, 2.8),
    ],
)
def test_summary_and_report_compare_the_same_steps(tmp_path: Path, rewards, first: float, last: float) -> None:
    tracker = training(tmp_path).tracker
    for step, reward in enumerate(rewards, start=1):
        tracker.log(step, [group([replace(score(), total=reward)] * 2)], {})
    summary = summarize(TrainConfig(output=str(tmp_path)), tracker, 1.0)
    write_run_report(TrainConfig(output=str(tmp_path)), tracker, summary, SETUP)
    assert (summary["reward_first"], summary["reward_last"]) == (first, last)
    assert f"<s>{first:.2f} →</s><b>{last:.2f}</b>" in (tmp_path / "report.html").read_text(encoding="utf-8")


def training(folder: Path, resumed: Resumed | None = None) -> Training:
    """Make a training of 12 steps without actors."""
    config, timings = TrainConfig(output=str(folder), num_steps=12), Timings()
    plan = Plan(num_steps=12, config={}, ranges={})
    return Training(
        config=config,
        place=place(folder),
        data=Data(training=[], heldout=[], lessons={}, num_unasked=0, warnings=()),
        start=None,
        epoch=1,
        tracker=RunTracker(folder, LoggingConfig(wandb=WandbMode.disabled), plan, timings, resumed),
        setup=replace(SETUP, devices=Devices()),
        timings=timings,
        brake=Brake(),
    )


def test_the_report_is_written_at_every_evaluation_and_at_the_end_but_at_no_step(tmp_path: Path) -> None:
    run, page = training(tmp_path), tmp_path / "report.html"
    run.log_evaluation(0, [group([score()])])
    assert '"status busy">running' in page.read_text() and "At step 0 of 12 on " in page.read_text()
    page.unlink()
    run.log(1, [group([score(), score()])], {})
    assert not page.exists()
    run.log_evaluation(1, [group([score()])])
    assert "At step 1 of 12 on " in page.read_text()
    run.record(End(ending=Ending.done, sentence=""))
    assert '"status">finished' in page.read_text() and "At step" not in page.read_text()


@pytest.mark.parametrize("end", [End(ending=Ending.done, sentence=""), End(ending=Ending.stopped), End()])
def test_the_report_is_named_however_a_run_ends(tmp_path: Path, end: End, capsys) -> None:
    training(tmp_path).record(end)
    assert capsys.readouterr().out.splitlines()[-1] == f"report: {tmp_path / 'report.html'}"


def test_a_finished_run_that_is_started_again_names_its_report_before_the_summary(tmp_path: Path, capsys) -> None:
    write_checkpoint(tmp_path, 4)
    (tmp_path / "metrics.jsonl").touch()
    (tmp_path / "summary.json").write_text('{"steps": 4}')
    assert main(TrainConfig(output=str(tmp_path), resume="auto", num_steps=4)) == 0
    assert capsys.readouterr().out.splitlines()[-2:] == [f"report: {tmp_path / 'report.html'}", '{"steps": 4}']


def test_the_advice_after_a_run_that_ended_early_depends_on_whether_it_made_a_step(tmp_path: Path) -> None:
    run = training(tmp_path)
    assert run.how_to_resume() == "nothing is lost: the same command starts anew"
    run.log_evaluation(0, [group([score()])])
    assert run.how_to_go_on(ValueError("x")) == ""
    assert run.how_to_go_on(RunFailure("x")) == (
        f"nothing is lost: the same command with resume=auto output={tmp_path} starts anew"
    )
    run.log(1, [group([score(), score()])], {})
    assert "checkpoint.every=N" in run.how_to_resume()


def test_the_seconds_of_an_evaluation_and_its_report_count_for_no_training_step(tmp_path: Path) -> None:
    run = training(tmp_path)
    time.sleep(0.2)
    run.log_evaluation(0, [group([score()])])
    run.log(1, [group([score(), score()])], {})
    assert run.tracker.rows[1]["time/step"] < 0.2


def test_a_report_that_cannot_be_written_is_told_and_ends_no_training(tmp_path: Path, capsys) -> None:
    run = training(tmp_path)
    (tmp_path / "report.html").mkdir()
    run.log_evaluation(0, [group([score()])])
    told = capsys.readouterr()
    assert "report.html could not be written (IsADirectoryError" in told.out + told.err
    assert run.tracker.evaluations[0].step == 0


def test_an_evaluation_after_one_step_is_told_in_the_singular(tmp_path: Path, capsys) -> None:
    run = training(tmp_path)
    run.log_evaluation(1, [group([score()])])
    assert "Greedy answers after 1 step to samples" in (tmp_path / "report.html").read_text()
    assert "held-out after 1 step: " in capsys.readouterr().out


def test_the_report_is_titled_by_what_was_typed(tmp_path: Path) -> None:
    training(tmp_path).log_evaluation(0, [group([score()])])
    assert "<h1>demo <small>seed=1</small></h1>" in (tmp_path / "report.html").read_text()


def test_writing_the_report_takes_no_time_of_a_step(tmp_path: Path) -> None:
    picture = tmp_path / "large.png"
    Image.effect_noise((1000, 800), 60).convert("RGB").save(picture)
    run = training(tmp_path)
    began = time.perf_counter()
    run.log_evaluation(0, [group([score()], number=number, images=(picture,)) for number in range(6)])
    evaluation_s = time.perf_counter() - began
    run.log(1, [group([score(), score()])], {})
    assert run.tracker.rows[-1]["time/step"] < evaluation_s / 2


def test_the_devices_that_a_run_holds_are_told_with_their_cost(tmp_path: Path) -> None:
    run = training(tmp_path)
    assert not run.record(End()).keys() & {"gpu_hours", "core_hours"}
    run = training(tmp_path)
    run.setup.devices.occupy([Slot(kind="learner", cpus=4.0, gpus=0.0)], ["Fast Processor 9"], ["node a, pid 1"])
    time.sleep(0.1)
    assert run.record(End(ending=Ending.done, sentence=""))["core_hours"] >= 4 * 0.1 / 3600
    page = (tmp_path / "report.html").read_text()
    assert "<dt>Hardware</dt><dd>4 CPU cores reserved in Ray (Fast Processor 9) on 1 machine</dd>" in page
    assert "<dt>CPU core-hours</dt>" in page


def test_the_seconds_of_a_resumed_run_include_those_before(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text(json.dumps({"step": 4, "time_s": 3600.0}) + "\n")
    run = training(tmp_path, Resumed(wandb_id="", evaluations=()))
    assert run.record(End(ending=Ending.done, sentence=""))["seconds"] >= 3600


def test_a_run_that_goes_on_with_other_samples_has_no_evaluation_before(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").touch()
    run = training(tmp_path, Resumed(wandb_id="", evaluations=()))
    run.log_evaluation(12, [group([score()])])
    summary = run.record(End(ending=Ending.done, sentence=""))
    assert "heldout_before" not in summary and summary["heldout_after"]["accuracy"] == 1
    assert "Greedy answers after 12 steps" in (tmp_path / "report.html").read_text()


def evaluated(folder: Path, mask: Path, resumed: Resumed | None = None) -> RunTracker:
    plan = Plan(num_steps=20, config={}, ranges={})
    tracker = RunTracker(folder, LoggingConfig(wandb=WandbMode.disabled), plan, Timings(), resumed)
    step = 20 if resumed else 0
    defective = group([score(accuracy=step / 20)], boxes=((2.0, 2.0, 6.0, 6.0),), images=(mask,))
    rdam = [[2.0, 1.0]] if resumed else [[1.0, 2.0]]
    tracker.log_evaluation(step, [looked(defective, look(0.25, rdam=rdam), mask=mask)])
    return tracker


def test_the_summary_has_looks_before_and_after_even_of_a_resumed_run(tmp_path: Path) -> None:
    mask = tmp_path / "mask.png"
    Image.fromarray(np.array([[255, 0]], np.uint8)).save(mask)
    before = evaluated(tmp_path / "run", mask)
    before.finish({}, End(ending=Ending.stopped))
    read_back = tuple(
        replace(each, groups=tuple(replace(one, looks=()) for one in each.groups)) for each in before.evaluations
    )
    again = evaluated(tmp_path / "run", mask, Resumed(wandb_id="", evaluations=read_back))
    reward = replace(REWARD, consistency=ConsistencyConfig(weight=1.0))
    config = TrainConfig(output=str(tmp_path / "run"), reward=reward)
    summary = summarize(config, again, 1.0)
    common = {"samples": 1, "mean_iou": 1, "agreement_defective": 0.25}
    assert summary["heldout_before"].items() >= {**common, "accuracy": 0, "pixel_auroc": 0}.items()
    assert summary["heldout_after"].items() >= {**common, "accuracy": 1, "pixel_auroc": 1}.items()
    assert "recall" not in summary["heldout_after"]
    write_run_report(config, again, summary, SETUP)
    page = (tmp_path / "run/report.html").read_text(encoding="utf-8")
    assert "Before training" in page and "After 20 steps" in page
