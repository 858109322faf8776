"""EMIT's reward of the chosen option."""

from rewards.answers.parse import Answer
from rewards.component import Component
from rewards.truth import known_option
from rl.types import Target, Task


def emit_reward(answer: Answer, target: Target) -> float | None:
    """Return 1 for the right option, 0 for a wrong one, -1 if the answer names none of the options.

    R = 1[option = right] - 1[option ∉ options], in {-1, 0, 1}; None if the right option is unknown. If the target
    does not list its options, they are A to D, as in EMIT's code.

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
    needs=("target.option",),
)
