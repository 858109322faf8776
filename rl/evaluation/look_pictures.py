"""Pictures of the inspected image: with an attention map over it, or with its true defect outlined."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from rl.data.images import Size, open_image, open_mask
from rl.evaluation.heat import overlay, resized
from rl.evaluation.kept_maps import KeptMap
from rl.types import Prompt

TOP = 4.0
"""End of the colour scale of every map, in multiples of an even look."""
TRUE = (31, 191, 107)
"""Colour of true defects: --true in the pages' CSS."""
OUTLINE_PIXELS = 2


def inspected(prompt: Prompt, longest: int) -> Image.Image:
    """Return the inspected image, shrunk so that no side is longer than `longest` pixels."""
    picture = open_image(prompt.sample.images[-1])
    picture.thumbnail((longest, longest))
    return picture


def with_map(picture: Image.Image, kept: KeptMap, resize: str) -> Image.Image:
    return overlay(picture, resized(kept.heat, picture.size, resize), TOP)


def with_truth(picture: Image.Image, prompt: Prompt) -> Image.Image:
    """Return the picture with its sample's mask outlined or, without a mask, with the true boxes."""
    drawn = picture.copy()
    if prompt.sample.target.mask:
        drawn.paste(TRUE, mask=outline(prompt.sample.target.mask, picture.size, OUTLINE_PIXELS))
        return drawn
    scale = np.divide(picture.size, prompt.image_size)
    for box in prompt.target.boxes:
        corners = tuple((np.array(box) * np.tile(scale, 2)).tolist())
        ImageDraw.Draw(drawn).rectangle(corners, outline=TRUE, width=OUTLINE_PIXELS)
    return drawn


def outline(mask: Path, size: Size, width: int) -> Image.Image:
    """Return a black picture of `size` with a white line of `width` pixels around the defects of a mask."""
    # A defect thinner than a pixel of the picture still covers a part of it.
    defect = np.asarray(Image.fromarray(open_mask(mask)).convert("L").resize(size, Image.Resampling.BOX)) > 0
    return Image.fromarray(ndimage.binary_dilation(defect, np.ones((3, 3)), width) & ~defect)
