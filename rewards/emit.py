"""EMIT's reward of a choice."""

from rewards.answers.parse import Answer
from rewards.component import Component
from rewards.truth import known_option
from rl.types import Target, Task


def emit_reward(answer: Answer, target: Target) -> float | None:
    """1 for the right option, 0 for another one, -1 when the answer names none of those offered.

    R = 1[option = right] - 1[option ∉ options], in {-1, 0, 1}; None where the right option is unknown. Where a target
    does not list its options, A to D are offered, as in EMIT's code.

    >>> from rewards.answers.parse import parse_answer
    >>> from rl.types import Task
    >>> answer = parse_answer("<think>A line.</think><answer>Yes</answer>", Task.choice, (10, 10))
    >>> emit_reward(answer, Target(label="defective", option="B"))
    -1.0
    """
    right = known_option(target)
    if right is None:
        return None
    if answer.option not in (target.options or {*"ABCD", right}):
        return -1.0
    return float(answer.option == right)


COMPONENT = Component(
    help="1 right, 0 wrong, -1 unreadable (EMIT).",
    judge=lambda item, answer, options: emit_reward(answer, item.target),
    tasks=(Task.choice, Task.routed, Task.grid),
    range=(-1.0, 1.0),
)
