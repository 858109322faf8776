"""Boxes of the defects in a pixel mask."""

import numpy as np

from rl.types import Box

EIGHT_NEIGHBOURS = np.ones((3, 3))
MIN_DEFECT_PIXELS = 4
"""Smaller specks beside a larger region of a mask are annotation noise, not boxes."""


def mask_boxes(mask: np.ndarray) -> tuple[Box, ...]:
    """Return the box [x1, y1, x2, y2) of each 8-connected region of a mask.

    >>> mask_boxes(np.pad(np.ones((2, 3), bool), 1))
    ((1.0, 1.0, 4.0, 3.0),)
    """
    # Imported here: it takes long, and the command line needs no masks.
    from scipy import ndimage

    regions, _ = ndimage.label(mask, structure=EIGHT_NEIGHBOURS)
    sizes = np.bincount(regions.ravel())[1:]
    return tuple(
        (float(columns.start), float(rows.start), float(columns.stop), float(rows.stop))
        for (rows, columns), size in zip(ndimage.find_objects(regions), sizes, strict=True)
        if size >= min(MIN_DEFECT_PIXELS, sizes.max())
    )
