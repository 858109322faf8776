"""Boundary selection: the samples whose right option a model finds about as likely as chance (DCR²-AD)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp
from statistics import fmean

DIGITS = 6
"""Decimals of p, few enough that files from different machines are equal."""


@dataclass(frozen=True, kw_only=True)
class Chance:
    """The probability that a model gives the right option of a sample."""

    p_right: float
    """Mean probability of the right option over all answers."""
    num_options: int
    answered: int
    """Number of answers that give an option."""

    def is_near(self, margin: float) -> bool:
        """Return True if |p(right) − 1/#options| ≤ margin; False if no answer gives an option, as p is then unknown."""
        distance = round(abs(self.p_right - 1 / self.num_options), DIGITS)
        return bool(self.answered) and distance <= margin


def chance_of(answers: Sequence[Mapping[str, float]], right: str, num_options: int) -> Chance:
    """Return the chance from each answer's log-probabilities of the option letters; {} is an answer without an option.

    p is renormalised over the options and averaged over the answers; an answer without an option counts as p = 0.

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
