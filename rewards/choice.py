"""Reward of the right option."""

from rewards.answers.parse import Answer
from rewards.component import Component
from rewards.truth import known_option
from rl.types import Target, Task


def choice_reward(answer: Answer, target: Target) -> float | None:
    """Return 1 if the answer's letter is the right option's, else 0; None if the right option is unknown.

    R = 1[option = right option] (the choice reward of JUDO, and what AnomalyR1's code adds to ROAM).

    >>> from rewards.answers.parse import parse_answer
    >>> from rl.types import Task
    >>> answer = parse_answer("<think>A line.</think><answer>B</answer>", Task.choice, (10, 10))
    >>> choice_reward(answer, Target(label="defective", option="B"))
    1.0
    """
    right = known_option(target)
    return None if right is None else float(answer.option == right)


COMPONENT = Component(
    help="Right option: 1 or 0.",
    judge=lambda item, answer, options: choice_reward(answer, item.target),
    tasks=(Task.choice, Task.routed, Task.grid),
    needs=("target.option",),
)
