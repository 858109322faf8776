"""A choice offers every kind of defect and none at all, in an order that only the sample's id decides."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl.data.questions import NO_DEFECT, QUESTIONS, concluding, letter_of, options_of, with_options
from rl.types import Task

KINDS = ("scratch", "hole", "stain")


def test_the_options_are_the_kinds_and_none():
    options = options_of(("broken_large", "cut"), "bottle/test/cut/001")
    assert list(options) == ["A", "B", "C"]
    assert sorted(options.values()) == sorted(["broken large", "cut", NO_DEFECT])


@given(st.permutations(KINDS), st.text())
def test_their_order_is_the_ids(kinds, sample_id):
    assert options_of(kinds, sample_id) == options_of(KINDS, sample_id)


def test_no_letter_is_right_more_often_than_another():
    letters = [letter_of(options_of(KINDS, f"wood/test/hole/{number:04d}"), "hole") for number in range(400)]
    assert all(70 <= letters.count(letter) <= 130 for letter in "ABCD")


def test_more_kinds_than_letters_are_refused_by_name():
    assert len(options_of([f"kind {number}" for number in range(25)], "a")) == 26
    with pytest.raises(ValueError) as raised:
        options_of([f"kind {number}" for number in range(26)], "screw/test/bent/000")
    assert str(raised.value).startswith("sample screw/test/bent/000: its category has 26 kinds of defects")


def test_a_question_lists_its_options():
    assert with_options("Which?", {"A": "scratch", "B": NO_DEFECT}) == "Which?\nA: scratch\nB: No defect"


def test_every_task_but_knowledge_has_a_question_of_its_own():
    assert set(QUESTIONS) == set(Task) and len(set(QUESTIONS.values())) == len(Task) - 1
    assert QUESTIONS[Task.routed] == QUESTIONS[Task.choice]
    assert QUESTIONS[Task.yes_no] == "Are there any defects or anomalies in the image?"


def test_reasoning_ends_with_its_conclusion():
    assert concluding("A hole at the top left.", "B") == "A hole at the top left. The answer is B."
