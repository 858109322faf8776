"""Reward of the grid cells that the answer calls defective (JUDO, eq. 2)."""

from rewards.answers.parse import Answer
from rewards.component import Component
from rl.types import Target, Task


def segmentation_reward(answer: Answer, target: Target) -> float | None:
    """Return the F1 of the cells P with the true ones P_G, in {0} ∪ [0.2, 1]; None if the true cells are unknown.

    R = 1 if both are empty; 0.2 + 0.8 · F1(P, P_G) if neither is, F1 = 2 |P ∩ P_G| / (|P| + |P_G|); 0 if only one
    of them is empty or the coordinates are malformed.

    >>> from rewards.answers.parse import parse_answer
    >>> from rl.types import Task
    >>> said = "<seg>(1,1)-(1,2)</seg><think>A dent.</think><answer>B</answer>"
    >>> target = Target(label="defective", cells=frozenset({(1, 2), (1, 3)}))
    >>> segmentation_reward(parse_answer(said, Task.grid, (10, 10)), target)
    0.6
    """
    true = target.cells
    if true is None:
        return None
    if answer.cells is None or bool(answer.cells) != bool(true):
        return 0.0
    if not true:
        return 1.0
    f1 = 2 * len(answer.cells & true) / (len(answer.cells) + len(true))
    # 0.2 + 0.8 · F1, written so that the result is rounded only once.
    return (1 + 4 * f1) / 5


COMPONENT = Component(
    help="F1 of the grid's cells, in [0, 1] (JUDO).",
    judge=lambda item, answer, options: segmentation_reward(answer, item.target),
    tasks=(Task.grid,),
    needs=("target.cells",),
)
