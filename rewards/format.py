"""Reward of the answer's form."""

from rewards.answers.parse import Answer
from rewards.component import Component


def format_reward(answer: Answer) -> float:
    """1 when nothing of the answer is malformed, else 0.

    In form means, for every task: the tags of its form (see Task) once each, in order, nothing outside them. And of
    the answer: Yes or No first; where boxes are asked for, Yes with at least one and every one well-formed, or No
    without any; one letter for a choice; (row,column) cells of the grid; JSON boxes for grounding.

    >>> from rewards.answers.parse import parse_answer
    >>> from rl.types import Task
    >>> format_reward(parse_answer("<think>Even surface.</think><answer>No.</answer>", Task.boxes, (10, 10)))
    1.0
    >>> format_reward(parse_answer("<think>A scratch.</think><answer>Yes.</answer>", Task.boxes, (10, 10)))
    0.0
    >>> format_reward(parse_answer("<think>A scratch.</think><answer>Yes.</answer>", Task.yes_no, (10, 10)))
    1.0
    """
    return 0.0 if answer.malformed else 1.0


COMPONENT = Component(
    help="Answer in the form of its task: 1 or 0.",
    judge=lambda item, answer, options: format_reward(answer),
)
