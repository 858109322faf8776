"""Accuracy of held-out answers by kind of defect, with intervals, and what was answered instead of the truth."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt

from rl.evaluation.metrics import outcome
from rl.types import Group, Target

Z = 1.959964
"""Standard deviations of a normal distribution within which 95 % of it lies."""
NORMAL, DEFECT = "normal", "defect"
"""Names of samples without a defect, and of defects whose kind is not known."""
UNREADABLE = "unreadable"


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


@dataclass(frozen=True, kw_only=True)
class Confusion:
    """Numbers of answers by the truth and by what was answered."""

    truths: tuple[str, ...]
    answers: tuple[str, ...]
    counts: Mapping[tuple[str, str], int]
    """Number of answers by (truth, answer); a pair that never occurred is missing."""


def kind_of(target: Target) -> str:
    """Return the kind of defect of a sample, "normal" if it has none."""
    return NORMAL if target.label == "normal" else target.kind or DEFECT


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


def confusion(pairs: Iterable[tuple[str, str]]) -> Confusion:
    """Count (truth, answer) pairs; every truth is a possible answer too, and UNREADABLE comes last.

    >>> found = confusion([("hole", "cut"), ("cut", "cut"), ("cut", "unreadable")])
    >>> found.truths, found.answers, found.counts["cut", "cut"]
    (('cut', 'hole'), ('cut', 'hole', 'unreadable'), 1)
    """
    counts = Counter(pairs)
    truths = sorted({truth for truth, _ in counts})
    others = {answer for _, answer in counts} - {*truths, UNREADABLE}
    unreadable = [UNREADABLE] if any(answer == UNREADABLE for _, answer in counts) else []
    return Confusion(truths=tuple(truths), answers=(*truths, *sorted(others), *unreadable), counts=counts)
