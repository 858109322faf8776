"""Metrics of the greedy answers to held-out samples, at image level."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from rl.roles import Metrics
from rl.types import DEFECTIVE, Group, Task

IOU_FOUND = 0.5
"""Lowest IoU at which a defect counts as found."""
VERDICTS, OVERLAPS = ("choice", "accuracy"), ("box", "grounding")
"""Components for the correctness of the answer and for the overlap of its boxes; the first with a value counts."""


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """A pass over the held-out samples."""

    step: int
    """Training steps before the evaluation."""
    groups: tuple[Group, ...]
    """Scored greedy answers."""

    @property
    def time(self) -> str:
        """The time of the evaluation in words."""
        if not self.step:
            return "before training"
        return f"after {self.step} {'step' if self.step == 1 else 'steps'}"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The facts about one held-out answer that the metrics count."""

    category: str
    defective: bool
    right: bool | None
    """None if no component of the reward measures it."""
    in_form: bool
    overlap: float | None
    """Mean IoU of the boxes; None for a normal sample or unknown true boxes."""
    reward: float | None
    knowledge: float | None
    """1 if the answer names the right piece of knowledge, else 0; None if the question offers none."""
    agreement: float | None
    """J of the answer's attention; None if it was not recorded."""
    with_verdict: bool
    """True if the question asks for normal or defective, not for an option or a place."""

    @property
    def said_defective(self) -> bool:
        """Return True if the answer says defective; an unreadable verdict counts as the opposite of the truth."""
        return self.defective == self.right


def outcome(group: Group) -> Outcome:
    """Return the outcome of a scored group with one greedy completion."""
    (score,) = group.scores
    sample, parts = group.prompt.sample, score.components
    defective = group.prompt.target.label == DEFECTIVE
    overlap = _first(parts, OVERLAPS) if defective or sample.task is Task.grounding else None
    return Outcome(
        category=sample.category,
        defective=defective,
        right=_right(parts, overlap if sample.task is Task.grounding else None),
        in_form=parts["format"] == 1 if "format" in parts else not score.malformed,
        overlap=overlap,
        reward=score.total,
        knowledge=parts.get("knowledge"),
        agreement=group.looks[0].agreement if group.looks else None,
        with_verdict=sample.task in (Task.yes_no, Task.boxes),
    )


def _right(parts: Mapping[str, float | None], place: float | None) -> bool | None:
    verdict = _first(parts, VERDICTS)
    if verdict is not None:
        return verdict == 1
    return None if place is None else place >= IOU_FOUND


def _first(parts: Mapping[str, float | None], names: Sequence[str]) -> float | None:
    values = (parts.get(name) for name in names)
    return next((value for value in values if value is not None), None)


def evaluation_metrics(groups: Sequence[Group]) -> Metrics:
    """Return accuracy, balanced_accuracy, recall, precision, mean_iou, iou50, format, reward, samples, where defined.

    Where recorded also knowledge, the share of answers that name the right piece of the knowledge offered, and
    agreement_defective and agreement_normal, the mean J of the answers to samples of each label.
    """
    return _metrics([outcome(group) for group in groups])


def category_metrics(groups: Sequence[Group]) -> dict[str, Metrics]:
    """Return the metrics of `evaluation_metrics` for each category, in alphabetical order."""
    outcomes = [outcome(group) for group in groups]
    categories = sorted({item.category for item in outcomes})
    return {name: _metrics([item for item in outcomes if item.category == name]) for name in categories}


def _metrics(outcomes: Sequence[Outcome]) -> Metrics:
    judged = [item for item in outcomes if item.right is not None]
    verdicts = [item for item in judged if item.with_verdict]
    defective = [item for item in verdicts if item.defective]
    normal = [item for item in verdicts if not item.defective]
    said_defective = [item for item in verdicts if item.said_defective]
    class_accuracies = [fmean(bool(item.right) for item in items) for items in (defective, normal) if items]
    overlaps = [item.overlap for item in outcomes if item.overlap is not None]
    defined: dict[str, Sequence[float]] = {
        "accuracy": [bool(item.right) for item in judged],
        "balanced_accuracy": class_accuracies,
        "recall": [bool(item.right) for item in defective],
        "precision": [item.defective for item in said_defective],
        "mean_iou": overlaps,
        "iou50": [overlap >= IOU_FOUND for overlap in overlaps],
        "format": [item.in_form for item in outcomes],
        "reward": [item.reward for item in outcomes if item.reward is not None],
        "knowledge": [item.knowledge for item in outcomes if item.knowledge is not None],
        "agreement_defective": [item.agreement for item in outcomes if item.defective and item.agreement is not None],
        "agreement_normal": [item.agreement for item in outcomes if not item.defective and item.agreement is not None],
    }
    metrics = {name: fmean(values) for name, values in defined.items() if values}
    return {**metrics, "samples": float(len(outcomes))}
