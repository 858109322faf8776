"""How good the greedy answers to held-out samples are; image level only."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from rl.roles import Metrics
from rl.types import Group

IOU_FOUND = 0.5
"""A defect counts as found from this overlap on."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One held-out answer, as its score tells it."""

    category: str
    defective: bool
    right: bool
    in_form: bool
    overlap: float | None
    """Mean IoU of the boxes; None for a normal sample or unknown true boxes."""

    @property
    def said_defective(self) -> bool:
        """An unreadable verdict is wrong, so it counts as the other one than the truth."""
        return self.defective == self.right


def outcome(group: Group) -> Outcome:
    """The outcome of a scored group of one greedy completion."""
    (score,) = group.scores
    defective = group.prompt.target.label == "defective"
    return Outcome(
        category=group.prompt.sample.category,
        defective=defective,
        right=score.components["accuracy"] == 1,
        in_form=score.components["format"] == 1,
        overlap=score.components["box"] if defective else None,
    )


def evaluation_metrics(groups: Sequence[Group]) -> Metrics:
    """accuracy, balanced_accuracy, recall, precision, mean_iou, iou50, format, samples; undefined ones are left out."""
    return _metrics([outcome(group) for group in groups])


def category_metrics(groups: Sequence[Group]) -> dict[str, Metrics]:
    """The same metrics for each category, in alphabetical order."""
    outcomes = [outcome(group) for group in groups]
    categories = sorted({item.category for item in outcomes})
    return {name: _metrics([item for item in outcomes if item.category == name]) for name in categories}


def _metrics(outcomes: Sequence[Outcome]) -> Metrics:
    defective = [item for item in outcomes if item.defective]
    normal = [item for item in outcomes if not item.defective]
    said_defective = [item for item in outcomes if item.said_defective]
    class_accuracies = [fmean([item.right for item in items]) for items in (defective, normal) if items]
    overlaps = [item.overlap for item in defective if item.overlap is not None]
    defined: dict[str, Sequence[float]] = {
        "accuracy": [item.right for item in outcomes],
        "balanced_accuracy": class_accuracies,
        "recall": [item.right for item in defective],
        "precision": [item.defective for item in said_defective],
        "mean_iou": overlaps,
        "iou50": [overlap >= IOU_FOUND for overlap in overlaps],
        "format": [item.in_form for item in outcomes],
    }
    metrics = {name: fmean(values) for name, values in defined.items() if values}
    return {**metrics, "samples": float(len(outcomes))}
