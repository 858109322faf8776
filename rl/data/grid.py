"""The 16x16 grid over an inspected image: its defective cells, and their notation in JUDO."""

from collections.abc import Iterable, Sequence
from itertools import groupby

import numpy as np

from rl.types import Box, Cell

SIDE = 16
"""Cells in a row and in a column."""


def cells_of_mask(mask: np.ndarray) -> frozenset[Cell]:
    """Return the (row, column) of each cell that overlaps a mask [height, width], even by part of a pixel.

    >>> sorted(cells_of_mask(np.pad(np.ones((2, 1), bool), ((1, 29), (31, 0)))))
    [(0, 15), (1, 15)]
    """
    rows, columns = _touched(mask.shape[0]), _touched(mask.shape[1])
    # Floats, because matmul is slow on booleans.
    counts = rows.astype(np.float32) @ mask.astype(np.float32) @ columns.T.astype(np.float32)
    return frozenset((int(row), int(column)) for row, column in np.argwhere(counts > 0))


def cells_of_boxes(boxes: Iterable[Box], size: tuple[int, int]) -> frozenset[Cell]:
    """Return the cells that overlap any of the boxes in an image of this (width, height)."""
    width, height = size
    return frozenset(
        (row, column)
        for x1, y1, x2, y2 in boxes
        for row in range(SIDE)
        for column in range(SIDE)
        if x1 * SIDE < (column + 1) * width
        and x2 * SIDE > column * width
        and y1 * SIDE < (row + 1) * height
        and y2 * SIDE > row * height
    )


def cells_text(cells: Iterable[Cell]) -> str:
    """Return the cells row by row, neighbours in a row as one run.

    >>> cells_text({(3, 8), (3, 7), (3, 10), (4, 0)})
    '(3,7)-(3,8), (3,10), (4,0)'
    """
    # Within a run, column minus index in the sorted list is constant.
    numbered = enumerate(sorted(cells))
    runs = [[cell for _, cell in run] for _, run in groupby(numbered, lambda pair: (pair[1][0], pair[1][1] - pair[0]))]
    return ", ".join(_run_text(run) for run in runs)


def _run_text(run: Sequence[Cell]) -> str:
    (row, first), (_, last) = run[0], run[-1]
    return f"({row},{first})" if first == last else f"({row},{first})-({row},{last})"


def _touched(length: int) -> np.ndarray:
    """Return bool [SIDE, length], True where a cell along an axis and a pixel overlap."""
    pixel, cell = np.arange(length), np.arange(SIDE)[:, None]
    return (SIDE * pixel < (cell + 1) * length) & (SIDE * (pixel + 1) > cell * length)
