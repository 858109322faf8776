"""Reward of the right verdict."""

from rewards.answers.parse import Answer
from rewards.component import Component
from rewards.truth import known_label
from rl.types import Target, Task


def accuracy_reward(answer: Answer, target: Target) -> float | None:
    """Return 1 if the answer says Yes to a defective or No to a normal image, else 0; an unreadable verdict is wrong.

    R = 1[verdict = label] (the result reward of MMR-AD, R_acc of CGRO); None where the label is unknown.

    >>> from rewards.answers.parse import parse_answer
    >>> from rl.types import Task
    >>> answer = parse_answer("<think>Even.</think><answer>No.</answer>", Task.yes_no, (10, 10))
    >>> accuracy_reward(answer, Target(label="normal"))
    1.0
    """
    label = known_label(target)
    return None if label is None else float(answer.verdict == label)


COMPONENT = Component(
    help="Right yes or no: 1 or 0.",
    judge=lambda item, answer, options: accuracy_reward(answer, item.target),
    tasks=(Task.yes_no, Task.boxes),
    needs=("target.label",),
)
