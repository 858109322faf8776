"""Figures of verdicts against the truth: what was answered instead of it, accuracy, and image AUROC."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from rl.types import DEFECTIVE, NORMAL

UNREADABLE = "unreadable"
VERDICTS = (DEFECTIVE, NORMAL, UNREADABLE)
"""The verdicts that an answer can give, UNREADABLE for none."""


@dataclass(frozen=True, kw_only=True)
class Confusion:
    """Numbers of answers by the truth and by what was answered."""

    truths: tuple[str, ...]
    answers: tuple[str, ...]
    counts: Counter[tuple[str, str]]
    """Number of answers by (truth, answer); 0 for a pair that never occurred."""


def confusion(pairs: Iterable[tuple[str, str]]) -> Confusion:
    """Count (truth, answer) pairs; every truth is a possible answer too, and UNREADABLE comes last.

    >>> found = confusion([("hole", "cut"), ("cut", "cut"), ("cut", "unreadable")])
    >>> found.truths, found.answers, found.counts["cut", "cut"], found.counts["cut", "hole"]
    (('cut', 'hole'), ('cut', 'hole', 'unreadable'), 1, 0)
    """
    counts = Counter(pairs)
    truths = sorted({truth for truth, _ in counts})
    others = {answer for _, answer in counts} - {*truths, UNREADABLE}
    unreadable = [UNREADABLE] if any(answer == UNREADABLE for _, answer in counts) else []
    return Confusion(truths=tuple(truths), answers=(*truths, *sorted(others), *unreadable), counts=counts)


def accuracy(pairs: Sequence[tuple[str, str]]) -> float:
    """Return the share of (truth, answer) pairs whose answer is the truth; an unreadable answer is wrong.

    >>> accuracy([("normal", "normal"), ("defective", "unreadable")])
    0.5
    """
    return fmean(truth == answer for truth, answer in pairs)


def auroc(defective: Sequence[float], normal: Sequence[float]) -> float:
    """Return the probability that a defective image scores higher than a normal one; a tie counts half.

    >>> auroc([0.9, 0.5], [0.5, 0.1])
    0.875
    """
    ordered = np.sort(normal)
    below, up_to = (np.searchsorted(ordered, defective, side) for side in ("left", "right"))
    return float(np.mean(below + up_to) / (2 * len(normal)))
