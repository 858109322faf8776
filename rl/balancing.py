"""Division of items of unequal size into parts of about equal total size."""

from collections.abc import Sequence

Part = tuple[int, int, list[tuple[int, int]]]
"""Total size, number of items, and the items as (index, size)."""
Split = list[Part]
"""Parts, the largest first."""


def balanced_partitions(sizes: Sequence[int], count: int) -> list[list[int]]:
    """Return the indices of `sizes` in `count` parts; with fewer sizes than parts the last parts are empty.

    The largest differencing method (Karmarkar and Karp, 1982): while there are two splits, the two least even ones
    are joined, the largest part of each with the smallest part of the other.

    >>> balanced_partitions([8, 7, 6, 5, 4], 2)
    [[1, 3, 4], [0, 2]]
    """
    filled = min(count, len(sizes))
    splits: list[Split] = [
        [(size, 1, [(index, size)]), *([(0, 0, [])] * (filled - 1))] for index, size in enumerate(sizes)
    ]
    while len(splits) > 1:
        one = _pop_least_even(splits)
        other = _pop_least_even(splits)
        merged = (_joined(large, small) for large, small in zip(one, reversed(other), strict=True))
        splits.append(sorted(merged, reverse=True))
    parts = [sorted(index for index, _ in items) for split in splits for _, _, items in split]
    return [*parts, *([] for _ in range(count - filled))]


def _pop_least_even(splits: list[Split]) -> Split:
    """Remove the least even split, the first of equal ones, and return it."""
    return splits.pop(splits.index(max(splits, key=_unevenness)))


def _unevenness(split: Split) -> tuple[int, Part]:
    """Return the spread of the parts, then the largest part, by which splits are ordered."""
    return split[0][0] - split[-1][0], split[0]


def _joined(one: Part, other: Part) -> Part:
    return one[0] + other[0], one[1] + other[1], [*one[2], *other[2]]
