"""Reward of the boxes around the defects."""

from collections.abc import Sequence

from rewards.answers.parse import Answer
from rewards.component import Component
from rewards.matching import matched_sum
from rewards.truth import known_label
from rl.types import DEFECTIVE, NORMAL, Box, Target, Task


def box_reward(answer: Answer, target: Target) -> float | None:
    """Return the overlap of the boxes with the true ones, in [0, 1].

    Defective image: R = Σ_(i, j) ∈ M IoU(true_i, predicted_j) / max(#true, #predicted), where M is the one-to-one
    matching with the largest sum; 0 unless the answer says Yes, so boxes after a No earn nothing.
    Normal image: 1 for a No without boxes, else 0.

    An unreadable verdict earns 0 on either image. On a defective image No earns 0 and Yes at least 0, so No never
    pays; the 1 of a normal image balances the reward of exact boxes on a defective one. None if the label is unknown,
    or the image is defective and its true boxes are unknown.

    >>> from rewards.answers.parse import parse_answer
    >>> from rl.types import Task
    >>> said = "<think>A hole.</think><answer>Yes. {'bbox_2d': [0, 0, 4, 4], 'label': 'hole'}</answer>"
    >>> box_reward(parse_answer(said, Task.boxes, (10, 10)), Target(label="defective", boxes=((0, 0, 4, 8),)))
    0.5
    """
    label = known_label(target)
    if label == NORMAL:
        return float(answer.verdict == NORMAL and not answer.boxes)
    if label is None or not target.boxes:
        return None
    if answer.verdict != DEFECTIVE:
        return 0.0
    return mean_overlap(target.boxes, answer.boxes)


def mean_overlap(true: Sequence[Box], predicted: Sequence[Box]) -> float:
    """Return the mean IoU of the best one-to-one matching, in [0, 1]; boxes left over on either side count as 0."""
    return matched_sum(true, predicted, overlap) / max(len(true), len(predicted)) if predicted else 0.0


def overlap(first: Box, second: Box) -> float:
    """Return the intersection over union of two boxes, in [0, 1].

    >>> overlap((0, 0, 2, 2), (1, 0, 3, 2))
    0.3333333333333333
    """
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / (_area(first) + _area(second) - shared)


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


COMPONENT = Component(
    help="Mean IoU of one-to-one matched boxes, in [0, 1].",
    judge=lambda item, answer, options: box_reward(answer, item.target),
    tasks=(Task.boxes,),
    needs=("target.label", "target.boxes"),
)
