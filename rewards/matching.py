"""One-to-one matching of true boxes or labels with those of an answer."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from rl.faults import UserError

First = TypeVar("First")
Second = TypeVar("Second")


def matched_sum(true: Sequence[First], said: Sequence[Second], value: Callable[[First, Second], float]) -> float:
    """Return Σ value over the pairs of the one-to-one matching with the largest sum; neither side may be empty.

    >>> matched_sum((1, 2), (2, 1, 5), lambda first, second: float(first == second))
    2.0
    """
    values = [[value(first, second) for second in said] for first in true]
    if any(cell != cell for row in values for cell in row):
        raise UserError("a matching of nan has no sum; look for boxes of the target that are not finite")
    if len(true) == 1:
        return max(values[0])
    # Imported here, because the command line imports this file to check a config and should start fast.
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(values, maximize=True)
    return sum(values[row][column] for row, column in zip(rows, columns, strict=True))
