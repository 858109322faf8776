"""Pictures of the inspected image: with an attention map over it, or with its true defect outlined."""

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from rl.data.images import open_image, open_mask
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
        mask = Image.fromarray(open_mask(prompt.sample.target.mask)).convert("L")
        # A defect thinner than a pixel of the picture still covers a part of it.
        defect = np.asarray(mask.resize(picture.size, Image.Resampling.BOX)) > 0
        edge = ndimage.binary_dilation(defect, np.ones((3, 3)), OUTLINE_PIXELS) & ~defect
        drawn.paste(TRUE, mask=Image.fromarray(edge))
        return drawn
    scale = np.divide(picture.size, prompt.image_size)
    for box in prompt.target.boxes:
        corners = tuple((np.array(box) * np.tile(scale, 2)).tolist())
        ImageDraw.Draw(drawn).rectangle(corners, outline=TRUE, width=OUTLINE_PIXELS)
    return drawn
