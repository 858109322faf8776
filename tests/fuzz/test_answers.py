"""Hostile answers: every reward judges each of them, in its range."""

import pytest

from fuzz.answers import SIZE, answer, failures, faults_of, kept
from rewards.answers.parse import parse_answer
from rl.types import Task

NUM_ANSWERS = 8_000


def test_no_hostile_answer_breaks_a_reward() -> None:
    found = failures(range(NUM_ANSWERS))
    assert not found, f"{found[0]}; python -m tests.fuzz.answers --count 1 --seed {found[0].seed}"


@pytest.mark.parametrize(("task", "text"), kept(), ids=lambda value: value.name if isinstance(value, Task) else "")
def test_answers_that_broke_something_once_are_judged(task: Task, text: str) -> None:
    assert list(faults_of(task, [text])) == []


def test_half_of_the_answers_are_read_and_half_are_malformed() -> None:
    faults = [bool(parse_answer(text, task, SIZE).malformed) for task, text in map(answer, range(2_000))]
    assert 0.3 < sum(faults) / len(faults) < 0.9
