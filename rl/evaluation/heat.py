"""How an anomaly map is shown: enlarged, coloured on a fixed scale, laid over its image."""

import numpy as np
from PIL import Image

from rl.data.images import Size
from rl.faults import UserError

RESIZES = {
    "bilinear": Image.Resampling.BILINEAR,
    "nearest": Image.Resampling.NEAREST,
    "bicubic": Image.Resampling.BICUBIC,
}
RAMP = ("#1a0f3d", "#4e207a", "#97308c", "#d94d7a", "#fc772b", "#fbbd44", "#fff6c2")
"""From little to much, in even steps of OKLab; warm, so that the green of the pages' true boxes stands out."""
EVEN = 1.0
"""What each place has of an even look."""
MAX_ALPHA = 0.75
"""Of the ramp's end, so that the part stays visible below it."""
ALPHA_EXPONENT = 0.7
"""Below 1, so that the middle of the ramp keeps its colours over a part."""
_ANCHORS = np.array([list(bytes.fromhex(color[1:])) for color in RAMP], np.float32)
_NUM_STOPS = 25
_BAR = "display:inline-block;width:150px;height:10px;border-radius:3px"
_PHOTO_GREY = "#8b919c"


def resized(heat: np.ndarray, size: Size, resize: str) -> np.ndarray:
    """The map [rows, cols] as float32 [h, w], `resize` being one of RESIZES; never below 0.

    >>> resized(np.array([[0, 4]], np.float32), (4, 1), "bilinear").tolist()
    [[0.0, 1.0, 3.0, 4.0]]
    """
    if resize not in RESIZES:
        raise UserError(f"resize must be one of {', '.join(RESIZES)}; got {resize!r}")
    values = np.asarray(Image.fromarray(heat.astype(np.float32)).resize(size, RESIZES[resize]))
    # Bicubic swings below 0 beside a peak.
    return np.maximum(values, np.float32(0))


def colored(heat: np.ndarray, top: float) -> np.ndarray:
    """uint8 RGBA [h, w, 4]; transparent up to an even look, the ramp's end from `top` on, whatever else is there."""
    if not top > EVEN:
        raise UserError(f"the top of a map's scale must be above {EVEN:g}, an even look; got {top:g}")
    level = np.clip((heat - EVEN) / (top - EVEN), 0, 1)
    position = level * (len(RAMP) - 1)
    channels = [np.interp(position, range(len(RAMP)), channel) for channel in _ANCHORS.T]
    return np.stack([*channels, 255 * MAX_ALPHA * level**ALPHA_EXPONENT], axis=-1).round().astype(np.uint8)


def overlay(image: Image.Image, heat: np.ndarray, top: float) -> Image.Image:
    """The RGB image with the map [h, w] of its size over it."""
    height, width = heat.shape
    if image.size != (width, height):
        raise UserError(f"the map is {width}x{height} and its image {image.width}x{image.height}; resize the map")
    return Image.alpha_composite(image.convert("RGBA"), Image.fromarray(colored(heat, top))).convert("RGB")


def scale_bar(top: float) -> str:
    """HTML for a page's legend: the colours as they look over a grey part, in light and dark alike."""
    stops = colored(np.linspace(EVEN, top, _NUM_STOPS), top).tolist()
    gradient = ",".join(f"rgb({red} {green} {blue}/{alpha / 255:.3f})" for red, green, blue, alpha in stops)
    end = f"{top:g}×"
    return (
        '<span style="display:inline-flex;align-items:center;gap:8px;font-size:12.5px;color:var(--soft)">'
        f'<span>{EVEN:g}×</span><span role="img" aria-label="Colours from {EVEN:g}× to {end} of an even look"'
        f' style="{_BAR};background:linear-gradient(90deg,{gradient}) {_PHOTO_GREY}"></span>'
        f"<span>{end} of an even look</span></span>"
    )
