"""IAD-R1's accuracy reward, with boxes and labels in place of its words for the defect's place and type."""

from difflib import SequenceMatcher

from rewards.answers.parse import Answer
from rewards.box import mean_overlap
from rewards.component import Component
from rewards.matching import matched_sum
from rewards.truth import known_label
from rl.types import DEFECTIVE, NORMAL, Target, Task

SCORE_CONTAINED = 0.85
"""IAD-R1's score of two names of which one contains the words of the other."""
SCORE_ALIKE = 0.4
"""Factor of the letters' similarity in the score of two similar names."""
LEAST_ALIKE = 0.7
"""Lowest similarity of the letters at which names count as similar."""


def iad_r1_reward(answer: Answer, target: Target) -> float | None:
    """Return the reward of the verdict plus, for a defective image, of the defects' types and places, in [0, 2].

    Normal: R = 1[No]. Defective: R = 1[Yes] + (type + place) / 2. IAD-R1 compares places in nine regions, and types
    by a list of its data's words. Here place is the mean IoU of the best one-to-one matching of boxes, and type the
    mean likeness of the best one-to-one matching of labels: 1 for the same name, 0.85 if one contains the words of the
    other, 0.4 · s for letters of similarity s ≥ 0.7, else 0; both are means over max(#true, #said). None if the label,
    the boxes or their types are unknown.

    >>> from rewards.answers.parse import parse_answer
    >>> from rl.types import Task
    >>> said = "<think>A hole.</think><answer>Yes. {'bbox_2d': [0, 0, 4, 4], 'label': 'hole'}</answer>"
    >>> target = Target(label="defective", boxes=((0, 0, 4, 8),), box_labels=("hole",))
    >>> iad_r1_reward(parse_answer(said, Task.boxes, (10, 10)), target)
    1.75
    """
    label = known_label(target)
    if label == NORMAL:
        return float(answer.verdict == NORMAL)
    if label is None or not target.boxes or len(target.box_labels) != len(target.boxes):
        return None
    place = mean_overlap(target.boxes, answer.boxes)
    return float(answer.verdict == DEFECTIVE) + (_type_score(target.box_labels, answer.labels) + place) / 2


def _type_score(true: tuple[str, ...], said: tuple[str, ...]) -> float:
    return matched_sum(true, said, likeness) / max(len(true), len(said)) if said else 0.0


def likeness(first: str, second: str) -> float:
    """Return the likeness of two names of defects, in [0, 1].

    >>> likeness("Hole", "hole"), likeness("hole", "deep hole"), likeness("hole", "stain")
    (1.0, 0.85, 0.0)
    """
    first, second = (" ".join(name.casefold().replace("_", " ").split()) for name in (first, second))
    if not first or not second:
        return 0.0
    if first == second:
        return 1.0
    if f" {first} " in f" {second} " or f" {second} " in f" {first} ":
        return SCORE_CONTAINED
    same = SequenceMatcher(None, first, second, autojunk=False).ratio()
    return SCORE_ALIKE * same if same >= LEAST_ALIKE else 0.0


COMPONENT = Component(
    help="Right verdict, plus type and place of the defects, in [0, 2] (IAD-R1).",
    judge=lambda item, answer, options: iad_r1_reward(answer, item.target),
    tasks=(Task.boxes,),
    range=(0.0, 2.0),
    needs=("target.label", "target.boxes", "target.box_labels"),
)
