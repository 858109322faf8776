"""Display of anomaly maps: enlarged, coloured on a fixed scale, laid over their images."""

import numpy as np
from PIL import Image

from rl.data.images import Size

RESIZES = {
    "bilinear": Image.Resampling.BILINEAR,
    "nearest": Image.Resampling.NEAREST,
    "bicubic": Image.Resampling.BICUBIC,
}
RAMP = ("#1a0f3d", "#4e207a", "#97308c", "#d94d7a", "#fc772b", "#fbbd44", "#fff6c2")
"""Colours from low to high, in even steps of OKLab; warm, so that the green of the pages' true boxes stands out."""
EVEN = 1.0
"""Value of each place in a map that is spread evenly over the image."""
MAX_ALPHA = 0.75
"""Opacity at the end of the ramp; below 1, so that the inspected part stays visible below it."""
ALPHA_EXPONENT = 0.7
"""Exponent of the opacity; below 1, so that colours from the middle of the ramp remain recognisable."""
_ANCHORS = np.array([list(bytes.fromhex(color[1:])) for color in RAMP], np.float32)
_NUM_STOPS = 25
_BAR = "display:inline-block;width:150px;height:10px;border-radius:3px"
_PHOTO_GREY = "#8b919c"


def resized(heat: np.ndarray, size: Size, resize: str) -> np.ndarray:
    """Return the map [rows, cols] as float32 [h, w] of at least 0, resized by `resize`, one of RESIZES.

    >>> resized(np.array([[0, 4]], np.float32), (4, 1), "bilinear").tolist()
    [[0.0, 1.0, 3.0, 4.0]]
    """
    if resize not in RESIZES:
        raise RuntimeError(f"resize must be one of {', '.join(RESIZES)}; got {resize!r}")
    values = np.asarray(Image.fromarray(heat.astype(np.float32)).resize(size, RESIZES[resize]))
    # Bicubic interpolation undershoots 0 beside a peak.
    return np.maximum(values, np.float32(0))


def colored(heat: np.ndarray, top: float) -> np.ndarray:
    """Return the map as uint8 RGBA [h, w, 4]: transparent up to EVEN, the end of the ramp from `top` on.

    The scale is fixed: the colour of a value does not depend on other values of the map.
    """
    if not top > EVEN:
        raise RuntimeError(f"the top of a map's scale must be above {EVEN:g}, an even look; got {top:g}")
    level = np.clip((heat - EVEN) / (top - EVEN), 0, 1)
    position = level * (len(RAMP) - 1)
    channels = [np.interp(position, range(len(RAMP)), channel) for channel in _ANCHORS.T]
    return np.stack([*channels, 255 * MAX_ALPHA * level**ALPHA_EXPONENT], axis=-1).round().astype(np.uint8)


def overlay(image: Image.Image, heat: np.ndarray, top: float) -> Image.Image:
    """Return the RGB image with the map [h, w], of the same size, laid over it."""
    height, width = heat.shape
    if image.size != (width, height):
        raise RuntimeError(f"the map is {width}x{height} and its image {image.width}x{image.height}; resize the map")
    return Image.alpha_composite(image.convert("RGBA"), Image.fromarray(colored(heat, top))).convert("RGB")


def scale_bar(top: float) -> str:
    """Return the HTML of a legend: the colours as they look over a grey part, the same in light and dark mode."""
    stops = colored(np.linspace(EVEN, top, _NUM_STOPS), top).tolist()
    gradient = ",".join(f"rgb({red} {green} {blue}/{alpha / 255:.3f})" for red, green, blue, alpha in stops)
    end = f"{top:g}×"
    return (
        '<span style="display:inline-flex;align-items:center;gap:8px;font-size:12.5px;color:var(--soft)">'
        f'<span>{EVEN:g}×</span><span role="img" aria-label="Colours from {EVEN:g}× to {end} of an even look"'
        f' style="{_BAR};background:linear-gradient(90deg,{gradient}) {_PHOTO_GREY}"></span>'
        f"<span>{end} of an even look</span></span>"
    )
