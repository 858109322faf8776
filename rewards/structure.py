"""Reward of reasoning that concludes the right option and names none too early (JUDO)."""

from rewards.answers.conclusion import concluded_option, mentions
from rewards.answers.parse import Answer
from rewards.component import Component
from rewards.truth import known_option
from rl.types import Target, Task


def structure_reward(answer: Answer, target: Target, *, early_penalty: float = 0.5) -> float | None:
    """Return 1 if reasoning and answer both give the right option, less if the reasoning names one in its first half.

    R = 1[c = y] · 1[a = y] · (1 - early_penalty · 1[an option's letter stands in the first half of the reasoning]),
    in [0, 1], where c is the option that the reasoning concludes, a the answer's and y the right one. The paper gives
    no numbers; the size of the penalty is ours. None if the right option is unknown.

    >>> from rewards.answers.parse import parse_answer
    >>> from rl.types import Task
    >>> late = "<seg></seg><think>The second pin leans to the left. So it is B.</think><answer>B</answer>"
    >>> soon = "<seg></seg><think>So it is B. The second pin leans to the left.</think><answer>B</answer>"
    >>> target = Target(label="defective", option="B")
    >>> [structure_reward(parse_answer(said, Task.grid, (10, 10)), target) for said in (late, soon)]
    [1.0, 0.5]
    """
    right = known_option(target)
    if right is None:
        return None
    if not answer.option == right == concluded_option(answer.think, target):
        return 0.0
    half = len(answer.think) / 2
    is_early = any(mention.place < half for mention in mentions(answer.think, target.options))
    return 1.0 - early_penalty * is_early


COMPONENT = Component(
    help="Reasoning and answer both give the right option, the reasoning not too early, in [0, 1] (JUDO).",
    judge=lambda item, answer, options: structure_reward(answer, item.target),
    tasks=(Task.choice, Task.routed, Task.grid),
    needs=("target.option",),
)
