"""Accuracy of held-out answers by kind of defect, with intervals."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

from rl.evaluation.metrics import outcome
from rl.types import NORMAL, Group, Target

Z = 1.959964
"""Standard deviations of a normal distribution within which 95 % of it lies."""
DEFECT = "defect"
"""Name of defects whose kind is not known."""


@dataclass(frozen=True, kw_only=True)
class Share:
    """The right answers among some."""

    right: int
    count: int

    @property
    def value(self) -> float:
        return self.right / self.count

    @property
    def interval(self) -> tuple[float, float]:
        """Return Wilson's 95 % interval, which stays within [0, 1] and is honest for few answers.

        >>> [round(end, 3) for end in Share(right=8, count=10).interval]
        [0.49, 0.943]
        """
        middle = self.value + Z**2 / (2 * self.count)
        reach = Z * sqrt(self.value * (1 - self.value) / self.count + Z**2 / (4 * self.count**2))
        size = 1 + Z**2 / self.count
        return max(0.0, (middle - reach) / size), min(1.0, (middle + reach) / size)


def kind_of(target: Target) -> str:
    """Return the kind of defect of a sample, "normal" if it has none."""
    return NORMAL if target.label == NORMAL else target.kind or DEFECT


def accuracy_by_kind(groups: Sequence[Group]) -> dict[str, Share]:
    """Return the share of right answers to each kind of defect by name, then that to normal samples.

    Answers of which nothing says whether they are right are left out.
    """
    right: dict[str, list[bool]] = {}
    for group in groups:
        if (found := outcome(group).right) is not None:
            right.setdefault(kind_of(group.prompt.sample.target), []).append(found)
    return {
        kind: Share(right=sum(right[kind]), count=len(right[kind]))
        for kind in sorted(right, key=lambda kind: (kind == NORMAL, kind))
    }
