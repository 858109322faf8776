from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards.accuracy import accuracy_reward
from rewards.answers.parse import Answer
from rewards.box import box_reward, overlap
from rewards.format import format_reward
from rl.types import Box, Target

NORMAL = Target(label="normal")


def said(verdict: str | None, *boxes: Box, malformed: tuple[str, ...] = ()) -> Answer:
    return Answer(think="", verdict=verdict, boxes=boxes, labels=("",) * len(boxes), malformed=malformed)


def defective(*boxes: Box) -> Target:
    return Target(label="defective", boxes=boxes)


def test_form_is_all_or_nothing() -> None:
    assert format_reward(said("normal")) == 1
    assert format_reward(said("normal", malformed=("text after </answer>",))) == 0


@pytest.mark.parametrize(
    ("verdict", "label", "expected"),
    [
        ("normal", "normal", 1),
        ("defective", "normal", 0),
        ("normal", "defective", 0),
        ("defective", "defective", 1),
        (None, "normal", 0),
        (None, "defective", 0),
    ],
)
def test_the_verdict_is_right_or_wrong(verdict: str | None, label: str, expected: float) -> None:
    assert accuracy_reward(said(verdict), Target(label=label)) == expected


def test_a_bad_label_raises() -> None:
    with pytest.raises(ValueError, match='the label must be "normal" or "defective"; got "broken"'):
        accuracy_reward(said("normal"), Target(label="broken"))


def test_exact_boxes_in_any_order_earn_one() -> None:
    boxes = ((0, 0, 4, 4), (6, 6, 9, 9))
    assert box_reward(said("defective", *reversed(boxes)), defective(*boxes)) == 1


def test_missed_and_invented_boxes_lower_the_mean() -> None:
    assert box_reward(said("defective", (0, 0, 4, 4)), defective((0, 0, 4, 4), (6, 6, 9, 9))) == 0.5
    assert box_reward(said("defective", (0, 0, 4, 4), (6, 6, 9, 9)), defective((0, 0, 4, 4))) == 0.5


def test_two_boxes_on_one_defect_count_once() -> None:
    assert box_reward(said("defective", (0, 0, 4, 4), (0, 0, 4, 4)), defective((0, 0, 4, 4))) == 0.5


def test_matching_maximises_the_sum_and_is_not_greedy() -> None:
    # Overlaps: first true box 9/10 and 8/10; second true box 8/10 and 0. Greedy takes 0.9 and is left with 0.
    true = ((0, 0, 10, 1), (0, 0, 8, 1))
    predicted = ((0, 0, 9, 1), (2, 0, 10, 1))
    crossed = overlap(true[0], predicted[1]) + overlap(true[1], predicted[0])
    straight = overlap(true[0], predicted[0]) + overlap(true[1], predicted[1])
    assert crossed > straight
    assert overlap(true[0], predicted[0]) > overlap(true[0], predicted[1])
    assert box_reward(said("defective", *predicted), defective(*true)) == pytest.approx(crossed / 2)


def test_a_defective_image_answered_no_earns_nothing_even_with_the_right_box() -> None:
    target = defective((0, 0, 4, 4))
    assert box_reward(said("normal"), target) == 0
    assert box_reward(said("normal", (0, 0, 4, 4)), target) == 0


def test_a_normal_image_earns_one_only_for_a_clear_no_without_boxes() -> None:
    assert box_reward(said("normal"), NORMAL) == 1
    assert box_reward(said("normal", (0, 0, 4, 4)), NORMAL) == 0
    assert box_reward(said("defective"), NORMAL) == 0
    assert box_reward(said(None), NORMAL) == 0


def test_a_defective_image_whose_boxes_are_unknown_cannot_be_judged() -> None:
    assert box_reward(said("defective", (0, 0, 4, 4)), defective()) is None


def test_boxes_that_only_touch_do_not_overlap() -> None:
    assert overlap((0, 0, 2, 2), (2, 0, 4, 2)) == 0


SPAN = st.lists(st.integers(0, 6), min_size=2, max_size=2, unique=True).map(sorted)
BOX = st.tuples(SPAN, SPAN).map(lambda spans: (spans[0][0], spans[1][0], spans[0][1], spans[1][1]))
BOXES = st.lists(BOX, min_size=1, max_size=4)


def cells(box: Box) -> set[tuple[int, int]]:
    return {(x, y) for x in range(int(box[0]), int(box[2])) for y in range(int(box[1]), int(box[3]))}


@given(BOX, BOX)
def test_overlap_counts_shared_cells(first: Box, second: Box) -> None:
    shared, covered = cells(first) & cells(second), cells(first) | cells(second)
    assert overlap(first, second) == pytest.approx(len(shared) / len(covered))


@given(BOXES, BOXES)
def test_boxes_earn_the_best_of_all_matchings(true: list[Box], predicted: list[Box]) -> None:
    few, many = sorted((true, predicted), key=len)
    best = max(
        sum(overlap(first, second) for first, second in zip(few, chosen, strict=True))
        for chosen in permutations(many, len(few))
    )
    reward = box_reward(said("defective", *predicted), defective(*true))
    assert reward == pytest.approx(best / len(many))
    assert 0 <= reward <= 1


@given(BOXES, BOXES)
def test_on_a_defective_image_no_never_earns_more_than_yes(true: list[Box], predicted: list[Box]) -> None:
    target = defective(*true)
    yes, no = box_reward(said("defective", *predicted), target), box_reward(said("normal"), target)
    assert yes is not None
    assert no is not None
    assert yes >= no
