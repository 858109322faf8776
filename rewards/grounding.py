"""Reward of finding what the question names (AnomalyR1's stage on RefCOCO-style data)."""

from rewards.answers.parse import Answer
from rewards.box import mean_overlap
from rewards.component import Component
from rl.types import Target, Task


def grounding_reward(answer: Answer, target: Target) -> float | None:
    """IoU of the one JSON box with the true one, in [0, 1]; boxes beyond those asked for lower it.

    R = IoU(true, predicted) for one box; for several, the mean over max(#true, #predicted) of the best one-to-one
    matching, so that guessing many boxes does not pay. An image of which it is known that nothing is to be found
    earns 1 for an empty list in form, else 0. None where the true boxes are unknown.

    >>> from rewards.answers.parse import parse_answer
    >>> from rl.types import Task
    >>> said = '<think>Left.</think><answer>[{"bbox_2d": [0, 0, 4, 4], "label": "cup"}]</answer>'
    >>> grounding_reward(parse_answer(said, Task.grounding, (10, 10)), Target(label="", boxes=((0, 0, 4, 8),)))
    0.5
    """
    if target.boxes:
        return mean_overlap(target.boxes, answer.boxes)
    return float(not answer.boxes and not answer.malformed) if target.label == "normal" else None


COMPONENT = Component(
    help="IoU with the one box that was asked for, in [0, 1] (AnomalyR1).",
    judge=lambda item, answer, options: grounding_reward(answer, item.target),
    tasks=(Task.grounding,),
)
