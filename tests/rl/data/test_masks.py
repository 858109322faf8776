"""Boxes cover the defects of a mask, and nothing else."""

import numpy as np
from hypothesis import given
from hypothesis.extra.numpy import array_shapes, arrays

from rl.data.masks import mask_boxes


def test_a_mask_of_a_single_pixel_still_has_a_box():
    assert mask_boxes(np.eye(1, 5, 2, dtype=bool)) == ((2, 0, 3, 1),)


@given(arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=12)))
def test_boxes_cover_no_more_rows_and_columns_than_the_mask_does(mask):
    for x1, y1, x2, y2 in mask_boxes(mask):
        inside = mask[int(y1) : int(y2), int(x1) : int(x2)]
        assert inside[0].any() and inside[-1].any() and inside[:, 0].any() and inside[:, -1].any()
