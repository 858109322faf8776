"""Reward of the right verdict."""

from rewards.parse import Answer
from rl.types import Target


def accuracy_reward(answer: Answer, target: Target) -> float:
    """1 when the answer says Yes of a defective or No of a normal image, else 0; an unreadable verdict is wrong.

    >>> from rewards.parse import parse_answer
    >>> accuracy_reward(parse_answer("<think>Even.</think><answer>No.</answer>", (10, 10)), Target(label="normal"))
    1.0
    """
    if target.label not in ("normal", "defective"):
        raise ValueError(f'the label must be "normal" or "defective"; got "{target.label}"')
    return float(answer.verdict == target.label)
