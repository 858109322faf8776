"""A hundred thousand mutated answers: the parser never raises, and parses and rewards stay in their ranges."""

import random
import time

import pytest

from fuzz.answers import IN_FORM, SIZE, TARGET, mutated
from rewards.accuracy import accuracy_reward
from rewards.answers.parse import Answer, parse_answer
from rewards.box import box_reward
from rewards.box_penalty import box_penalty_reward
from rewards.emit import emit_reward
from rewards.format import format_reward
from rewards.grounding import grounding_reward
from rewards.iad_r1 import iad_r1_reward
from rewards.knowledge import knowledge_reward
from rewards.roam import roam_reward
from rewards.segmentation import segmentation_reward
from rewards.structure import structure_reward
from rl.data.grid import SIDE
from rl.types import Task

NUM_ANSWERS = 120_000
RANGES = {
    accuracy_reward: (0, 1),
    box_reward: (0, 1),
    box_penalty_reward: (-0.4, 0),
    emit_reward: (-1, 1),
    grounding_reward: (0, 1),
    iad_r1_reward: (0, 2),
    knowledge_reward: (0, 1),
    roam_reward: (0, 1),
    segmentation_reward: (0, 1),
    structure_reward: (0, 1),
}


def check(answer: Answer, text: str, task: Task) -> None:
    assert answer.verdict in ("normal", "defective", None)
    assert answer.option is None or "A" <= answer.option <= "Z" and answer.option in text.upper()
    assert all(0 <= row < SIDE and 0 <= column < SIDE for row, column in answer.cells or ())
    assert len(answer.boxes) == len(answer.labels)
    assert all(0 <= left < right <= SIZE[0] for left, _, right, _ in answer.boxes)
    assert all(0 <= top < bottom <= SIZE[1] for _, top, _, bottom in answer.boxes)
    assert answer.answer in text and answer.think in text and answer.knowledge in text
    assert all(len(fault) < 600 and fault.isprintable() for fault in answer.malformed)
    if not answer.malformed:
        assert answer.tagged
        asked = {Task.yes_no: answer.verdict, Task.boxes: answer.verdict, Task.choice: answer.option}
        asked[Task.routed] = answer.option and (answer.knowledge or None)
        assert asked.get(task, "") is not None
        assert task is not Task.grid or answer.cells is not None and answer.option is not None


@pytest.mark.slow
def test_a_hundred_thousand_mutated_answers_break_neither_parser_nor_rewards() -> None:
    rng = random.Random(0)
    tasks = [task for task in Task for _ in IN_FORM[task]]
    texts = [text for task in Task for text in IN_FORM[task]]
    malformed, seconds = 0, 0.0
    for number in range(NUM_ANSWERS):
        text, task = mutated(texts[number % len(texts)], rng), tasks[number % len(texts)]
        start = time.process_time()
        answer = parse_answer(text, task, SIZE)
        seconds += time.process_time() - start
        malformed += bool(answer.malformed)
        check(answer, text, task)
        if number % 10 == 0:
            for reward, (low, high) in RANGES.items():
                assert low <= reward(answer, TARGET) <= high, (reward, text)
            assert format_reward(answer) == (not answer.malformed)
    assert NUM_ANSWERS / 2 < malformed < NUM_ANSWERS * 0.95
    print(f"figure: {NUM_ANSWERS:,} mutated answers read, {malformed:,} malformed, none raised; {seconds:.1f} s")


@pytest.mark.parametrize("task", Task)
def test_the_answers_before_mutation_are_in_form(task: Task) -> None:
    assert [parse_answer(text, task, SIZE).malformed for text in IN_FORM[task]] == [()] * len(IN_FORM[task])
