"""Reward of the answer's form."""

from rewards.answers.parse import Answer
from rewards.component import Component


def format_reward(answer: Answer) -> float:
    """Return 1 if nothing in the answer is malformed, else 0.

    For every task, each tag of its form (see Task) must occur once, in order, with nothing outside. The answer must
    begin with Yes or No; if boxes are asked for, Yes needs at least one, all well-formed, and No must have none. A
    choice must be one letter, cells must be written (row,column), and boxes of grounding must be JSON.

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
