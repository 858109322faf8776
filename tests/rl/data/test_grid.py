"""Cells of the 16x16 grid are those that the defect touches, and are written as JUDO does."""

import re

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rl.data.grid import SIDE, cells_of_boxes, cells_of_mask, cells_text

CELLS = st.frozensets(st.tuples(st.integers(0, SIDE - 1), st.integers(0, SIDE - 1)), max_size=40)
MASKS = st.tuples(st.integers(1, 40), st.integers(1, 40)).flatmap(lambda shape: arrays(bool, shape))


def touched_by_hand(mask: np.ndarray) -> set[tuple[int, int]]:
    """Along each axis a pixel's edges against a cell's, in sixteenths of a pixel."""
    height, width = mask.shape
    rows = {
        y: [c for c in range(SIDE) if max(16 * y, c * height) < min(16 * y + 16, (c + 1) * height)]
        for y in range(height)
    }
    columns = {
        x: [c for c in range(SIDE) if max(16 * x, c * width) < min(16 * x + 16, (c + 1) * width)] for x in range(width)
    }
    return {(row, column) for y, x in np.argwhere(mask).tolist() for row in rows[y] for column in columns[x]}


def read_back(text: str) -> set[tuple[int, int]]:
    cells = set()
    for first, last in re.findall(r"(\(\d+,\d+\))(?:-(\(\d+,\d+\)))?", text):
        (row, start), (end_row, end) = (tuple(map(int, re.findall(r"\d+", cell))) for cell in (first, last or first))
        assert row == end_row
        cells |= {(row, column) for column in range(start, end + 1)}
    return cells


def test_a_cell_is_defective_when_the_mask_reaches_into_it():
    mask = np.zeros((112, 224), bool)
    mask[6:8, 13] = True  # rows of cells are 7 pixels high, columns 14 wide
    mask[111, 223] = True
    assert cells_of_mask(mask) == {(0, 0), (1, 0), (15, 15)}


def test_a_pixel_over_the_border_of_two_cells_makes_both_defective():
    mask = np.zeros((16, 24), bool)
    mask[3, 1] = True  # columns of cells are 1.5 pixels wide: this pixel covers 1.0 to 2.0
    assert cells_of_mask(mask) == {(3, 0), (3, 1)}


def test_an_image_of_fewer_pixels_than_cells_fills_several_with_one():
    assert cells_of_mask(np.array([[False, True]])) == {(row, column) for row in range(16) for column in range(8, 16)}


@given(MASKS)
@settings(deadline=None, max_examples=50)
def test_every_mask_has_the_cells_that_its_pixels_touch(mask):
    assert cells_of_mask(mask) == touched_by_hand(mask)


@given(st.integers(1, 40), st.integers(1, 40), st.data())
@settings(deadline=None, max_examples=50)
def test_a_box_has_the_cells_of_the_mask_that_it_fills(width, height, data):
    x1, y1 = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    x2, y2 = data.draw(st.integers(x1 + 1, width)), data.draw(st.integers(y1 + 1, height))
    mask = np.zeros((height, width), bool)
    mask[y1:y2, x1:x2] = True
    assert cells_of_boxes([(x1, y1, x2, y2)], (width, height)) == cells_of_mask(mask)


def test_boxes_may_end_within_a_pixel():
    assert cells_of_boxes([(0.5, 1.0, 1.0, 1.5), (6.9, 0.0, 7.0, 0.1)], (16, 16)) == {(1, 0), (0, 6)}
    assert cells_of_boxes([], (16, 16)) == frozenset()


def test_neighbours_in_a_row_are_one_run():
    assert cells_text({(3, 8), (3, 7), (4, 7), (4, 8), (5, 8), (6, 8)}) == "(3,7)-(3,8), (4,7)-(4,8), (5,8), (6,8)"
    assert cells_text({(0, 0), (0, 2), (0, 3), (1, 4)}) == "(0,0), (0,2)-(0,3), (1,4)"
    assert cells_text(()) == ""


@given(CELLS)
def test_the_text_holds_the_cells_in_as_few_runs_as_there_are(cells):
    text = cells_text(cells)
    assert read_back(text) == cells
    starts = [cell for cell in cells if (cell[0], cell[1] - 1) not in cells]
    assert len([piece for piece in text.split(", ") if piece]) == len(starts)
