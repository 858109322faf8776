from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from builders.groups_with_looks import look, looked
from builders.scored_groups import group, score
from conf.schema import TrainConfig
from launch.run.ending import Ending
from launch.run.tracking import Plan, Resumed, RunTracker
from launch.train.report import counted_ranges, summarize, write_run_report
from rewards.component import ComponentConfig
from rewards.config import FunctionConfig, RewardConfig
from rewards.consistency import ConsistencyConfig
from rewards.overlong import OverlongConfig
from rl.evaluation.config import LoggingConfig, WandbMode
from rl.timing import Timings

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
    write_run_report(config, tracker, summary | ended, (10, 0))
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert status in page and summary["warnings"][0] in page
    assert all(sentence in page for sentence in ended.values())


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
    before.finish({}, Ending.stopped)
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
    write_run_report(config, again, summary, (10, 1))
    page = (tmp_path / "run/report.html").read_text(encoding="utf-8")
    assert "Before training" in page and "After 20 steps" in page
