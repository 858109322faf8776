"""Rewards in cases that can be checked by hand against the place in the paper that the comment names."""

import numpy as np
import pytest

from rewards.accuracy import accuracy_reward
from rewards.answers.parse import Answer, parse_answer
from rewards.box_penalty import box_penalty_reward
from rewards.choice import choice_reward
from rewards.consistency import consistency_reward
from rewards.emit import emit_reward
from rewards.format import format_reward
from rewards.grounding import grounding_reward
from rewards.iad_r1 import iad_r1_reward
from rewards.overlong import overlong_penalty
from rewards.roam import roam_reward
from rewards.segmentation import segmentation_reward
from rewards.structure import structure_reward
from rl.types import Target, Task
from rollout.localize import agreement, supports

SIZE = (100, 100)
NORMAL = Target(label="normal")
THREE = Target(
    label="defective",
    boxes=((0, 0, 10, 10), (20, 20, 30, 30), (50, 50, 60, 60)),
    box_labels=("scratch", "scratch", "hole"),
)


def said(body: str, task: Task, think: str = "Looks odd.") -> Answer:
    return parse_answer(f"<think>{think}</think><answer>{body}</answer>", task, SIZE)


def boxes(*corners: str) -> str:
    return "Yes. " + ", ".join(f"{{'bbox_2d': [{four}], 'label': 'scratch'}}" for four in corners)


# MMR-AD, section 4.1: 1 for the right Yes or No, and -0.2 for each true box that no box meets with IoU > 0.5.
MMR_AD = [
    ("right, 3 true boxes, 1 met: 1 - 2 · 0.2", boxes("0, 0, 10, 10"), THREE, 0.6),
    ("right, all met", boxes("0, 0, 10, 10", "20, 20, 30, 30", "50, 50, 60, 60"), THREE, 1.0),
    ("right, none met: 1 - 3 · 0.2", boxes("80, 80, 90, 90"), THREE, 0.4),
    ("IoU exactly 50 / 100 does not meet", boxes("0, 0, 10, 5"), THREE, 0.4),
    ("IoU 51 / 100 meets", boxes("0, 0, 10, 5.1"), THREE, 0.6),
    ("two boxes on one defect meet it once", boxes("0, 0, 10, 10", "0, 0, 10, 9"), THREE, 0.6),
    ("boxes too many cost nothing", boxes("0, 0, 10, 10", "80, 0, 90, 9"), THREE, 0.6),
    ("missed: 0 - 3 · 0.2", "No.", THREE, -0.6),
    ("boxes beside a No meet nothing", "No. {'bbox_2d': [0, 0, 10, 10], 'label': 'scratch'}", THREE, -0.6),
    ("a normal image called normal", "No.", NORMAL, 1.0),
    ("a normal image called defective", boxes("0, 0, 10, 10"), NORMAL, 0.0),
]


@pytest.mark.parametrize(("case", "body", "target", "expected"), MMR_AD)
def test_mmr_ad_pays_the_verdict_and_fines_missed_boxes(case: str, body: str, target: Target, expected: float) -> None:
    answer = said(body, Task.boxes)
    accuracy, penalty = accuracy_reward(answer, target), box_penalty_reward(answer, target)
    assert accuracy is not None and penalty is not None
    assert accuracy + penalty == pytest.approx(expected, abs=1e-12)


def test_one_box_matches_one_defect_and_the_matching_has_most_pairs() -> None:
    near = Target(label="defective", boxes=((0, 0, 10, 10), (0, 0, 10, 11)))
    assert box_penalty_reward(said(boxes("0, 0, 10, 10"), Task.boxes), near) == pytest.approx(-0.2)
    # The second box meets only the first defect, so the first box must go to the second defect.
    crossed = said(boxes("0, 0, 10, 10", "0, 0, 10, 5.2"), Task.boxes)
    assert box_penalty_reward(crossed, near) == 0


# JUDO, eq. 2: 0.2 + 0.8 · F1 of the cells.
TWO = Target(label="defective", cells=frozenset({(1, 2), (1, 3)}))
EMPTY = Target(label="normal", cells=frozenset())
JUDO_SEG = [
    ("P={(1,1),(1,2)}, F1 = 2·1/(2+2)", "(1,1)-(1,2)", TWO, 0.6),
    ("exact", "(1,2)-(1,3)", TWO, 1.0),
    ("one of two, F1 = 2·1/(1+2)", "(1,2)", TWO, 0.2 + 0.8 * 2 / 3),
    ("elsewhere, F1 = 0", "(9,9)", TWO, 0.2),
    ("only P empty", "", TWO, 0.0),
    ("only P_G empty", "(1,1)", EMPTY, 0.0),
    ("both empty", "", EMPTY, 1.0),
    ("malformed", "(1,2)-(1,3", TWO, 0.0),
    ("malformed where nothing is", "nothing", EMPTY, 0.0),
    ("outside the grid", "(1,2), (1,16)", TWO, 0.0),
]


@pytest.mark.parametrize(("case", "cells", "target", "expected"), JUDO_SEG)
def test_judo_segmentation_is_f1_with_a_floor(case: str, cells: str, target: Target, expected: float) -> None:
    answer = parse_answer(f"<seg>{cells}</seg><think>Bent.</think><answer>B</answer>", Task.grid, SIZE)
    assert segmentation_reward(answer, target) == pytest.approx(expected, abs=1e-12)


# AnomalyR1, section 4.5: the five scores of ROAM, and where its code departs from the paper.
CHOICE = Target(label="defective", option="B", options={"A": "Hole.", "B": "Scratch.", "C": "Stain.", "D": "Dent."})
ROAM = [
    ("derives the right answer", "It is long and thin, so it is option B.", "B", 1.0, 1.0),
    ("right answer, concludes nothing", "It is long and thin.", "B", 0.8, 0.8),
    ("right answer, no reasoning", "", "B", 0.8, 0.8),
    ("wrong, and both agree", "It is round, so it is option D.", "D", 0.1, 0.1),
    ("wrong, concludes nothing", "It is round.", "D", 0.05, 0.05),
    ("wrong, no reasoning: the code pays for empty tags", "", "D", 0.0, 0.05),
    ("right answer against the reasoning", "It is round, so it is option C.", "B", 0.0, 0.0),
    ("wrong answer against a right reasoning", "It is thin, so it is option B.", "C", 0.0, 0.0),
    ("wrong answer against a wrong reasoning", "It is round, so it is option C.", "D", 0.0, 0.0),
    ("no readable answer: the code calls that wrong", "It is round.", "scratch", 0.0, 0.0),
    ("no readable answer against a reasoning", "So it is option B.", "scratch", 0.0, 0.0),
    ("told in the option's words, which the code cannot read", "There is a scratch.", "B", 1.0, 0.8),
    ("an article is no option, but the code takes it for A", "A line runs over it.", "B", 0.8, 0.0),
]


@pytest.mark.parametrize(("case", "think", "option", "paper", "released"), ROAM)
def test_roam_gives_five_scores(case: str, think: str, option: str, paper: float, released: float) -> None:
    answer = said(option, Task.choice, think)
    assert roam_reward(answer, CHOICE) == paper
    assert roam_reward(answer, CHOICE, mode="released") == released


def test_released_roam_gives_nothing_without_tags() -> None:
    answer = parse_answer("<think>It is thin.</think> Well. <answer>B</answer>", Task.choice, SIZE)
    assert (roam_reward(answer, CHOICE), roam_reward(answer, CHOICE, mode="released")) == (0.8, 0.0)
    with pytest.raises(ValueError, match='the mode of ROAM must be "paper" or "released"; got "both"'):
        roam_reward(answer, CHOICE, mode="both")  # type: ignore[arg-type]


# JUDO, section 3.3: both conclusions right, less for an option in the first half of the reasoning.
STRUCTURE = [
    ("right at the end", "The pin leans to the left. So it is option B.", "B", 1.0),
    ("named in the first half", "Option C is wrong. The pin leans to the left, so it is option B.", "B", 0.5),
    ("no conclusion", "The pin leans to the left.", "B", 0.0),
    ("reasoning wrong", "The pin leans to the left. So it is option C.", "B", 0.0),
    ("answer wrong", "The pin leans to the left. So it is option B.", "C", 0.0),
    ("no reasoning", "", "B", 0.0),
]


@pytest.mark.parametrize(("case", "think", "option", "expected"), STRUCTURE)
def test_judo_structure_wants_late_and_right_conclusions(case: str, think: str, option: str, expected: float) -> None:
    text = f"<seg></seg><think>{think}</think><answer>{option}</answer>"
    assert structure_reward(parse_answer(text, Task.grid, SIZE), CHOICE) == expected


# CGRO, eq. 6 and 7: J from supports of three tokens on a 20x20 map, 20 cells each (5 %); strict > 0.3 and < 0.1.
def support(cells: range) -> np.ndarray:
    """Return a map whose values above its 95th percentile lie in these 20 of 400 cells."""
    values = np.zeros(400)
    values[cells] = 1 + np.arange(len(cells)) / 100
    return values.reshape(20, 20)


def maps(num_shared: int) -> np.ndarray:
    """Return the maps of two tokens that share `num_shared` of their 20 cells: J = shared / (40 - shared)."""
    return np.stack([support(range(20)), support(range(20 - num_shared, 40 - num_shared))])


CGRO = [
    ("J = 10/30 > 0.3", 10, {}, 1, 0),
    ("J = 9/31 < 0.3", 9, {}, 0, 0),
    ("J = 4/36 > 0.1", 4, {}, 0, 0),
    ("J = 3/37 < 0.1", 3, {}, 0, 1),
    ("J = 8/32, at δ_high", 8, {"delta_high": 0.25}, 0, 0),
    ("just below J", 8, {"delta_high": np.nextafter(0.25, 0)}, 1, 0),
    ("just above J", 8, {"delta_high": np.nextafter(0.25, 1)}, 0, 0),
    ("J = 8/32, at δ_low", 8, {"delta_low": 0.25}, 0, 0),
    ("just above J", 8, {"delta_low": np.nextafter(0.25, 1)}, 0, 1),
    ("just below J", 8, {"delta_low": np.nextafter(0.25, 0)}, 0, 0),
    ("J = 0", 0, {}, 0, 1),
    ("J = 1", 20, {}, 1, 0),
]


@pytest.mark.parametrize(("case", "num_shared", "deltas", "defective", "normal"), CGRO)
def test_cgro_is_strict_about_its_thresholds(
    case: str, num_shared: int, deltas: dict, defective: float, normal: float
) -> None:
    assert consistency_reward(agreement(supports(maps(num_shared))), Target(label="defective"), **deltas) == defective
    assert consistency_reward(agreement(supports(maps(num_shared))), NORMAL, **deltas) == normal


def test_cgro_without_a_token_finds_no_agreement() -> None:
    none = agreement(supports(np.zeros((0, 20, 20))))
    assert (consistency_reward(none, Target(label="defective")), consistency_reward(none, NORMAL)) == (0, 1)


# DAPO, eq. 13: the limit 100 with a buffer of 20 tokens.
@pytest.mark.parametrize(
    ("num_tokens", "expected"), [(0, 0), (80, 0), (81, -0.05), (90, -0.5), (100, -1), (101, -1), (10_000, -1)]
)
def test_dapo_fines_the_last_tokens_before_the_limit(num_tokens: int, expected: float) -> None:
    assert overlong_penalty(num_tokens, max_tokens=100, buffer_tokens=20) == pytest.approx(expected)


# EMIT's code: 1 right, 0 another letter, -1 anything else.
@pytest.mark.parametrize(("body", "expected"), [("B", 1), ("b.", 1), ("C", 0), ("E", -1), ("Scratch", -1), ("", -1)])
def test_emit_fines_an_unreadable_choice(body: str, expected: float) -> None:
    answer = said(body, Task.choice)
    assert emit_reward(answer, CHOICE) == expected
    assert emit_reward(answer, Target(label="", option="B")) == expected


# IAD-R1's code: (type + location) / 2 + 1 for Yes; 1 for No.
ONE = Target(label="defective", boxes=((0, 0, 10, 10),), box_labels=("Surface scratch",))
IAD_R1 = [
    ("type 1, place 1", "Yes. {'bbox_2d': [0, 0, 10, 10], 'label': 'surface scratch'}", ONE, 2.0),
    ("type 0.85, place 1", "Yes. {'bbox_2d': [0, 0, 10, 10], 'label': 'scratch'}", ONE, 1 + (0.85 + 1) / 2),
    ("type 1, place 1/2", "Yes. {'bbox_2d': [0, 0, 10, 5], 'label': 'surface scratch'}", ONE, 1.75),
    ("type 0, place 0", "Yes. {'bbox_2d': [50, 50, 60, 60], 'label': 'hole'}", ONE, 1.0),
    ("letters alike by 10/11", "Yes. {'bbox_2d': [50, 0, 60, 9], 'label': 'stain'}", "stains", 1 + 0.4 * 10 / 11 / 2),
    ("Yes alone", "Yes.", ONE, 1.0),
    ("missed", "No.", ONE, 0.0),
    ("a normal image called normal", "No.", NORMAL, 1.0),
    ("a normal image called defective", "Yes.", NORMAL, 0.0),
]


@pytest.mark.parametrize(("case", "body", "target", "expected"), IAD_R1)
def test_iad_r1_pays_verdict_type_and_place(case: str, body: str, target: Target | str, expected: float) -> None:
    if isinstance(target, str):
        target = Target(label="defective", boxes=((0, 0, 10, 10),), box_labels=(target,))
    assert iad_r1_reward(said(body, Task.boxes), target) == pytest.approx(expected)


# AnomalyR1's stage of grounding: the IoU of the one box.
BOX = '{"bbox_2d": [0, 0, 10, 10], "label": "cup"}'
CUP = Target(label="", boxes=((0, 0, 10, 5),), box_labels=("cup",))
GROUNDING = [
    ("one box, 50 / 100", f"[{BOX}]", CUP, 0.5),
    ("an object alone", BOX, CUP, 0.5),
    ("two boxes where one was asked for", f"[{BOX}, {BOX}]", CUP, 0.25),
    ("none", "[]", CUP, 0.0),
    ("no JSON", "[0, 0, 10, 5]", CUP, 0.0),
    ("nothing to find, nothing found", "[]", NORMAL, 1.0),
    ("nothing to find, nothing said", "", NORMAL, 0.0),
    ("nothing to find, something found", f"[{BOX}]", NORMAL, 0.0),
]


@pytest.mark.parametrize(("case", "body", "target", "expected"), GROUNDING)
def test_grounding_is_the_overlap_of_one_box(case: str, body: str, target: Target, expected: float) -> None:
    assert grounding_reward(said(body, Task.grounding), target) == expected


def test_choice_and_format_are_all_or_nothing() -> None:
    for body, right, form in (("B", 1, 1), ("C", 0, 1), ("B. Scratch.", 1, 0), ("scratch", 0, 0)):
        answer = said(body, Task.choice)
        assert (choice_reward(answer, CHOICE), format_reward(answer)) == (right, form)


JUDGES = [
    accuracy_reward,
    box_penalty_reward,
    choice_reward,
    emit_reward,
    grounding_reward,
    iad_r1_reward,
    roam_reward,
    segmentation_reward,
    structure_reward,
]


@pytest.mark.parametrize("judge", JUDGES)
def test_without_the_truth_that_it_needs_a_reward_has_no_value(judge) -> None:
    assert judge(Answer(), Target(label="")) is None


@pytest.mark.parametrize("judge", [choice_reward, emit_reward, roam_reward, structure_reward])
@pytest.mark.parametrize("target", [Target(label="", option="b"), Target(label="", option="E", options={"A": "Hole"})])
def test_an_option_that_is_not_offered_is_a_fault_of_the_data(judge, target: Target) -> None:
    with pytest.raises(ValueError, match="the right option must be one of"):
        judge(Answer(), target)


@pytest.mark.parametrize("judge", [accuracy_reward, box_penalty_reward, iad_r1_reward])
def test_an_invalid_label_is_a_fault_of_the_data(judge) -> None:
    with pytest.raises(ValueError, match='the label must be "normal" or "defective"; got "broken"'):
        judge(Answer(), Target(label="broken"))
