"""Penalty for true boxes that no box of the answer matches (MMR-AD, section 4.1)."""

from rewards.answers.parse import Answer
from rewards.box import overlap
from rewards.component import Component
from rewards.matching import matched_sum
from rewards.truth import known_label
from rl.types import DEFECTIVE, NORMAL, Box, Target, Task

PENALTY = 0.2
IOU_MATCHED = 0.5
"""IoU that a box must exceed to match a true box."""


def box_penalty_reward(answer: Answer, target: Target) -> float | None:
    """Return -0.2 for each true box that no box of the answer matches with IoU > 0.5; 0 for a normal image.

    R = -0.2 N, in [-0.2 · #true boxes, 0], where N counts the true boxes left over by the one-to-one matching with
    the most pairs of IoU > 0.5, so that one box cannot stand for two defects. Boxes after a No match nothing. None
    if the label is unknown, or the image is defective and its true boxes are unknown.

    >>> from rewards.answers.parse import parse_answer
    >>> from rl.types import Task
    >>> said = "<think>A hole.</think><answer>Yes. {'bbox_2d': [0, 0, 4, 4], 'label': 'hole'}</answer>"
    >>> target = Target(label="defective", boxes=((0, 0, 4, 5), (6, 6, 8, 8), (8, 0, 9, 9)))
    >>> box_penalty_reward(parse_answer(said, Task.boxes, (10, 10)), target)
    -0.4
    """
    label = known_label(target)
    if label == NORMAL:
        return 0.0
    if label is None or not target.boxes:
        return None
    boxes = answer.boxes if answer.verdict == DEFECTIVE else ()
    matched = matched_sum(target.boxes, boxes, _matches) if boxes else 0.0
    return 0.0 - PENALTY * (len(target.boxes) - matched)


def _matches(true: Box, predicted: Box) -> float:
    return float(overlap(true, predicted) > IOU_MATCHED)


COMPONENT = Component(
    help="-0.2 for each true box that no box of the answer matches (MMR-AD).",
    judge=lambda item, answer, options: box_penalty_reward(answer, item.target),
    tasks=(Task.boxes,),
    range=(-PENALTY, 0.0),
    needs=("target.label", "target.boxes"),
)
