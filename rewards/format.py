"""Reward of the answer's form."""

from rewards.parse import Answer


def format_reward(answer: Answer) -> float:
    """1 when nothing of the answer is malformed, else 0.

    In form means: think and answer tags once each, in order, nothing outside them; Yes with at least one box and every
    box well-formed, or No without a box.

    >>> from rewards.parse import parse_answer
    >>> format_reward(parse_answer("<think>Even surface.</think><answer>No.</answer>", (10, 10)))
    1.0
    >>> format_reward(parse_answer("<think>A scratch.</think><answer>Yes.</answer>", (10, 10)))
    0.0
    """
    return 0.0 if answer.malformed else 1.0
