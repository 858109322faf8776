from dataclasses import replace
from pathlib import Path

import pytest
from scored_groups import group, score

from conf.schema import TrainConfig
from launch.summary import counted_ranges, summarize, write_run_report
from launch.tracking import Plan, RunTracker
from rewards.config import ComponentConfig, FunctionConfig, OverlongConfig, RewardConfig
from rl.evaluation.config import LoggingConfig, WandbMode
from rl.timing import Timings

REWARD = RewardConfig(
    format=ComponentConfig(weight=1.0),
    accuracy=ComponentConfig(weight=0.0),
    overlong=OverlongConfig(weight=0.5),
    functions=[FunctionConfig(path="mine.shininess"), FunctionConfig(path="mine.gloss", weight=0.0)],
)


def test_only_what_counts_is_watched_and_the_range_of_a_users_function_is_not_known() -> None:
    assert counted_ranges(REWARD) == {"format": (0.0, 1.0), "overlong": (-1.0, 0.0), "shininess": None}


@pytest.mark.parametrize(
    ("ended", "status"),
    [
        ({"stopped": "stopped by Ctrl-C after step 20"}, '"status warn">stopped'),
        ({"failed": "learner 1 died"}, '"status bad">failed'),
        ({}, '"status">finished'),
    ],
)
def test_summary_and_report_tell_the_ending_and_the_warnings(tmp_path: Path, ended: dict, status: str) -> None:
    config = TrainConfig(output=str(tmp_path), reward=REWARD)
    plan = Plan(num_steps=20, config={}, ranges={"format": (0.0, 1.0)})
    tracker = RunTracker(tmp_path, LoggingConfig(wandb=WandbMode.disabled), plan, Timings())
    for step in range(1, 21):
        tracker.log(step, [group([score(), replace(score(), total=2.0)])], {"parity/logprob_abs_mean": 0.0})
    summary = summarize(config, tracker, 1.0)
    assert len(summary["warnings"]) == 1 and summary["warnings"][0].startswith("reward format has saturated: 1.000")
    write_run_report(config, tracker, summary | ended, (10, 0))
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert status in page and summary["warnings"][0] in page
    assert all(sentence in page for sentence in ended.values())
