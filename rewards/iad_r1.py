"""IAD-R1's accuracy reward, with boxes and their labels for its words of place and type."""

from difflib import SequenceMatcher

from rewards.answers.parse import Answer
from rewards.box import mean_overlap
from rewards.component import Component
from rewards.matching import matched_sum
from rewards.truth import known_label
from rl.types import Target, Task

SCORE_CONTAINED = 0.85
"""IAD-R1's score of a name that holds the words of the true one, or the other way round."""
SCORE_ALIKE = 0.4
LEAST_ALIKE = 0.7


def iad_r1_reward(answer: Answer, target: Target) -> float | None:
    """Verdict, and for a defective image how well type and place are told.

    Normal: R = 1[No]. Defective: R = 1[Yes] + (type + place) / 2. In [0, 2]. IAD-R1 compares place in nine regions
    and type by a list of its data's words. Here place is the mean IoU of the best one-to-one matching of boxes, and
    type the mean likeness of the best one of labels: 1 for the same name, 0.85 where one holds the words of the
    other, 0.4 · s where their letters agree by s ≥ 0.7, else 0; both over max(#true, #said). None where the label,
    the boxes or their types are unknown.

    >>> from rewards.answers.parse import parse_answer
    >>> from rl.types import Task
    >>> said = "<think>A hole.</think><answer>Yes. {'bbox_2d': [0, 0, 4, 4], 'label': 'hole'}</answer>"
    >>> target = Target(label="defective", boxes=((0, 0, 4, 8),), box_labels=("hole",))
    >>> iad_r1_reward(parse_answer(said, Task.boxes, (10, 10)), target)
    1.75
    """
    label = known_label(target)
    if label == "normal":
        return float(answer.verdict == "normal")
    if label is None or not target.boxes or len(target.box_labels) != len(target.boxes):
        return None
    place = mean_overlap(target.boxes, answer.boxes)
    return float(answer.verdict == "defective") + (_type_score(target.box_labels, answer.labels) + place) / 2


def _type_score(true: tuple[str, ...], said: tuple[str, ...]) -> float:
    return matched_sum(true, said, likeness) / max(len(true), len(said)) if said else 0.0


def likeness(first: str, second: str) -> float:
    """How alike two names of a defect are, in [0, 1].

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
    help="Verdict, then type and place, in [0, 2] (IAD-R1).",
    judge=lambda item, answer, options: iad_r1_reward(answer, item.target),
    tasks=(Task.boxes,),
    range=(0.0, 2.0),
)
