from dataclasses import replace

import pytest

from builders.scored_groups import group, score
from rl.evaluation.kinds import Share, accuracy_by_kind, kind_of
from rl.types import Group, Target

BOX = ((2.0, 2.0, 6.0, 6.0),)


def asked(right: float, kind: str, boxes=BOX) -> Group:
    made = group([score(accuracy=right)], boxes=boxes)
    sample = replace(made.prompt.sample, target=replace(made.prompt.sample.target, kind=kind))
    return replace(made, prompt=replace(made.prompt, sample=sample))


@pytest.mark.parametrize(
    ("right", "count", "interval"),
    # Newcombe 1998, table I: 81/263, 15/148, 0/20, 1/29.
    [(81, 263, (0.2553, 0.3662)), (15, 148, (0.0624, 0.1605)), (0, 20, (0.0, 0.1611)), (1, 29, (0.0061, 0.1718))],
)
def test_the_interval_is_that_of_the_literature(right, count, interval) -> None:
    assert Share(right=right, count=count).interval == pytest.approx(interval, abs=5e-5)


def test_all_right_answers_do_not_prove_perfection() -> None:
    low, high = Share(right=5, count=5).interval
    assert (round(low, 3), high) == (0.566, 1)


def test_accuracy_is_counted_by_kind_and_for_normal_samples() -> None:
    groups = [asked(1, "scratch"), asked(0, "scratch"), asked(1, "hole"), asked(0, "", boxes=())]
    assert accuracy_by_kind(groups) == {
        "hole": Share(right=1, count=1),
        "scratch": Share(right=1, count=2),
        "normal": Share(right=0, count=1),
    }


def test_a_defect_of_unknown_kind_is_a_defect() -> None:
    assert kind_of(Target(label="defective")) == "defect"
