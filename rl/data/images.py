"""Opens image files; whatever is wrong with one becomes a sentence that names it."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image

from rl.faults import UserError

Size = tuple[int, int]
"""(width, height) in pixels."""
Item = TypeVar("Item")
Result = TypeVar("Result")
BARE_MODES = ("1", "L", "I", "I;16", "I;16L", "I;16B", "I;16N", "F")
"""Pillow's modes of one plain number a pixel; the others are seen in colour, without their transparency."""


def in_threads(do: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """do(item) of each, in their order, on all cores; what the first of them raises is raised, the rest is dropped."""
    # Pillow loads its rarer decoders when it first needs one, which two threads must not do at once.
    Image.init()
    with ThreadPoolExecutor() as pool:
        return list(pool.map(do, items))


def open_image(path: Path) -> Image.Image:
    """The image in RGB."""
    return _read(path, _rgb)


def open_mask(path: Path) -> np.ndarray:
    """bool [height, width], True where the mask is not 0, or not black where it has colours."""
    values = _read(path, lambda image: np.asarray(image if image.mode in BARE_MODES else image.convert("RGB")))
    return values != 0 if values.ndim == 2 else (values != 0).any(axis=2)


def check_mask_size(mask: Path, found: Size, size: Size) -> None:
    """Raises a UserError for a mask that is not as large as its image."""
    if found != size:
        raise UserError(f"{mask}: the mask is {found[0]}x{found[1]} and its image {size[0]}x{size[1]}; redraw it")


def decoded_size(path: Path) -> Size:
    """Of an image that decodes to its end."""
    return _read(path, lambda image: (image.load(), image.size)[1])


def stated_size(path: Path) -> Size:
    """As the head of the file states it; the pixels are not decoded."""
    return _read(path, lambda image: image.size)


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        # Pillow would clip 16-bit grey at 255.
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    return image.convert("RGB")


def _read(path: Path, read: Callable[[Image.Image], Result]) -> Result:
    try:
        with Image.open(path) as image:
            return read(image)
    except FileNotFoundError as error:
        raise UserError(f"{path}: the image is missing; restore it or take away what names it") from error
    except Image.DecompressionBombError as error:
        raise UserError(f"{path}: the image is too large to be opened ({error}); scale it down") from error
    except Exception as error:  # Decoders raise nearly anything on damaged bytes.
        raise UserError(f"{path}: the image is damaged ({error}); replace it or take it away") from error
