"""Boundary selection: the samples whose right option a model finds about as likely as chance (DCR²-AD)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp
from statistics import fmean

DIGITS = 6
"""p is rounded to here, so that what stands in files does not tell one machine from another."""


@dataclass(frozen=True, kw_only=True)
class Chance:
    """What a model gives the right option of a sample."""

    p_right: float
    num_options: int
    answered: int
    """Of its answers, those that give an option."""

    def is_near(self, margin: float) -> bool:
        """|p(right) − 1/#options| ≤ margin; a sample to which no answer gives an option has no known p."""
        distance = round(abs(self.p_right - 1 / self.num_options), DIGITS)
        return bool(self.answered) and distance <= margin


def chance_of(answers: Sequence[Mapping[str, float]], right: str, num_options: int) -> Chance:
    """From the log-probabilities of the options' letters in each answer, {} in one that gives no option.

    p is renormalised over the options and averaged over the answers; one without an option gives the right one none.

    >>> chance_of([{"A": -0.7, "B": -0.7}, {"A": -0.7, "B": -0.7}, {}], "B", 2)
    Chance(p_right=0.333333, num_options=2, answered=2)
    """
    p = fmean(_share(answer, right) for answer in answers)
    return Chance(p_right=round(p, DIGITS), num_options=num_options, answered=sum(map(bool, answers)))


def _share(logprobs: Mapping[str, float], right: str) -> float:
    if not logprobs:
        return 0.0
    highest = max(logprobs.values())
    return exp(logprobs[right] - highest) / sum(exp(value - highest) for value in logprobs.values())
