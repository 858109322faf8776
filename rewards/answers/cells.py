"""Parser of cells of the 16x16 grid in JUDO's form: (row,column) or, for a run in a row, (row,first)-(row,last)."""

import re

from rewards.answers.spans import Span, excerpt
from rl.data.grid import SIDE
from rl.types import Cell

MAX_RUNS = SIDE * SIDE
"""Maximum number of runs read; the grid has no more cells."""
OUTSIDE = f"leaves the {SIDE}×{SIDE} grid or runs backwards"
NO_RUN = "is not (row,column) or (row,first)-(row,last)"
CELL = r"\(\s*+([0-9]{1,4})\s*+,\s*+([0-9]{1,4})\s*+\)"
# Nothing that captures stands in a possessive group: Python before 3.11.5 misreads that.
BLANKS = re.compile(r"\s*+")
RUN = re.compile(rf"\s*+{CELL}(?:\s*+[-\u2013\u2014\u2212]\s*+{CELL})?\s*+(,|\Z)")


def read_cells(span: Span, faults: list[str]) -> frozenset[Cell] | None:
    """Return the cells, or None if any part is malformed, since that part may be the one that matters.

    >>> sorted(read_cells(Span(0, "(3,7)-(3,8), (4,0)", True), []))
    [(3, 7), (3, 8), (4, 0)]
    >>> faults = []
    >>> read_cells(Span(5, "(3,7), (4,16)", True), faults), faults[0]
    (None, "run 2 at character 12 leaves the 16×16 grid or runs backwards: '(4,16)'")
    """
    start, said, _ = span
    if not span.is_closed:
        return None
    if not said.strip():
        return frozenset()
    cells: set[Cell] = set()
    num_faults, place = len(faults), 0
    for number in range(1, MAX_RUNS + 1):
        match = RUN.match(said, place)
        run = _run(match) if match else ()
        if not run:
            begin, wrong = _after_blanks(said, place), OUTSIDE if match else NO_RUN
            faults.append(f"run {number} at character {start + begin} {wrong}: {excerpt(said, begin)}")
        cells.update(run)
        place = match.end() if match else _next_opening(said, place)
        if place < 0 or match and not match[5]:
            return frozenset(cells) if len(faults) == num_faults else None
    faults.append(f"more than {MAX_RUNS} runs; the rest were not read")
    return None


def _run(match: re.Match[str]) -> list[Cell]:
    """Return the cells of a run; [] if it leaves the grid or runs backwards."""
    row, first, last_row, last = (None if part is None else int(part) for part in match.groups()[:4])
    assert row is not None and first is not None
    if last_row is None or last is None:
        last_row, last = row, first
    good = row == last_row and row < SIDE and first <= last < SIDE
    return [(row, column) for column in range(first, last + 1)] if good else []


def _after_blanks(said: str, place: int) -> int:
    blanks = BLANKS.match(said, place)
    assert blanks is not None
    return blanks.end()


def _next_opening(said: str, place: int) -> int:
    """Return the place of the parenthesis where reading goes on after an unreadable run; -1 if there is none."""
    opening = said.find("(", place)
    return said.find("(", opening + 1) if opening >= 0 and not said[place:opening].strip() else opening
