"""Reward of a box around the thing that the question names (AnomalyR1's stage on RefCOCO-style data)."""

from rewards.answers.parse import Answer
from rewards.box import mean_overlap
from rewards.component import Component
from rl.types import NORMAL, Target, Task


def grounding_reward(answer: Answer, target: Target) -> float | None:
    """Return the IoU of the one JSON box with the true one, in [0, 1]; surplus boxes lower it.

    R = IoU(true, predicted) for one box; for several, the sum over the best one-to-one matching divided by
    max(#true, #predicted), so that guessing many boxes does not pay. If the image is known to hold nothing to find,
    a well-formed empty list earns 1 and any other answer 0. None if the true boxes are unknown.

    >>> from rewards.answers.parse import parse_answer
    >>> from rl.types import Task
    >>> said = '<think>Left.</think><answer>[{"bbox_2d": [0, 0, 4, 4], "label": "cup"}]</answer>'
    >>> grounding_reward(parse_answer(said, Task.grounding, (10, 10)), Target(label="", boxes=((0, 0, 4, 8),)))
    0.5
    """
    if target.boxes:
        return mean_overlap(target.boxes, answer.boxes)
    return float(not answer.boxes and not answer.malformed) if target.label == NORMAL else None


COMPONENT = Component(
    help="IoU with the box that the question asks for, in [0, 1] (AnomalyR1).",
    judge=lambda item, answer, options: grounding_reward(answer, item.target),
    tasks=(Task.grounding,),
    needs=("target.boxes",),
)
