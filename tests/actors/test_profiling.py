"""A profile of training steps: the range that a config names, and the trace that a rank writes."""

import json
from pathlib import Path

import pytest
import torch

from actors.config import ProfileConfig, profiled_steps
from actors.profiling import StepProfiler
from actors.setups import ProfilePlan


@pytest.mark.parametrize(("typed", "steps"), [("", []), ("4", [4]), ("3..5", [3, 4, 5]), ("10..10", [10])])
def test_steps_are_a_range_with_both_ends_or_one_step(typed: str, steps: list[int]):
    assert list(profiled_steps(ProfileConfig(steps=typed), 10)) == steps


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("3-5", r"profile\.steps=3-5 must be FIRST\.\.LAST or one step"),
        ("3..", r"profile\.steps=3\.\. must be FIRST\.\.LAST"),
        ("5..3", r"profile\.steps=5\.\.3 must lie within the run's steps, 1\.\.10"),
        ("0..3", r"within the run's steps, 1\.\.10"),
        ("9..11", r"within the run's steps, 1\.\.10"),
    ],
)
def test_steps_that_the_run_does_not_make_are_refused(typed: str, sentence: str):
    with pytest.raises(ValueError, match=sentence):
        profiled_steps(ProfileConfig(steps=typed), 10)


def names_in(trace: Path) -> set[str]:
    return {event.get("name", "") for event in json.loads(trace.read_text())["traceEvents"]}


def trained(folder: Path, steps: range, made: range) -> None:
    """Take the steps `made` under a profiler of `steps`, with a product of matrices in each and a sort after each."""
    profiler = StepProfiler(ProfilePlan(steps=steps, folder=str(folder)), 1, torch.device("cpu"))
    for number in made:
        with profiler.step(number):
            torch.ones(8, 8) @ torch.ones(8, 8)
        assert folder.exists() == (number >= steps[-1])
        torch.ones(8).sort()


def test_the_steps_are_written_with_what_is_done_in_and_between_them(tmp_path: Path):
    trained(tmp_path / "profile", range(2, 4), range(1, 6))
    (trace,) = (tmp_path / "profile").iterdir()
    names = names_in(trace)
    assert trace.name == "rank_1.json"
    assert {"training step 2", "training step 3", "aten::mm", "aten::sort"} <= names
    assert not {"training step 1", "training step 4"} & names


def test_a_run_that_goes_on_within_the_range_profiles_the_rest(tmp_path: Path):
    trained(tmp_path / "profile", range(2, 5), range(4, 6))
    assert "training step 4" in names_in(tmp_path / "profile/rank_1.json")
