"""Finds and opens image files; whatever is wrong with one becomes a sentence that names it."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image

from rl.faults import UserError
from rl.types import Box

Size = tuple[int, int]
"""(width, height) in pixels."""
Item = TypeVar("Item")
Result = TypeVar("Result")
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
"""Endings, in small letters, of the files that are taken for images."""
BARE_MODES = ("1", "L", "I", "I;16", "I;16L", "I;16B", "I;16N", "F")
"""Pillow's modes with one plain number per pixel; the others are read as RGB, without their transparency."""


def in_threads(do: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """Return do(item) of each item, in order, computed on all cores; the first item that fails raises its error."""
    # Pillow loads its rarer decoders when it first needs one, which two threads must not do at once.
    Image.init()
    with ThreadPoolExecutor() as pool:
        return list(pool.map(do, items))


def images_in(folder: Path) -> list[Path]:
    """Return the images directly in a folder, sorted; a missing folder and one without images are refused."""
    if not folder.is_dir():
        raise UserError(f"{folder}: the folder is missing; it holds the category's images")
    images = sorted(
        path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")
    )
    if not images:
        raise UserError(
            f"{folder}: the folder holds no image ({', '.join(IMAGE_SUFFIXES)}); add some or remove the folder"
        )
    return images


def open_image(path: Path) -> Image.Image:
    """Return the image in RGB."""
    return _read(path, _rgb)


def open_mask(path: Path) -> np.ndarray:
    """Return bool [height, width], True where the mask is not 0 or, in colour, not black."""
    values = _read(path, lambda image: np.asarray(image if image.mode in BARE_MODES else image.convert("RGB")))
    return values != 0 if values.ndim == 2 else (values != 0).any(axis=2)


def check_mask_size(mask: Path, found: Size, size: Size) -> None:
    """Raise a UserError if a mask is not as large as its image."""
    if found != size:
        raise UserError(f"{mask}: the mask is {found[0]}x{found[1]} and its image {size[0]}x{size[1]}; redraw it")


def check_within(where: str, boxes: Iterable[Box], size: Size) -> None:
    """Raise a UserError for the first box that is empty, reversed, or leaves its image; `where` opens the sentence."""
    for x1, y1, x2, y2 in boxes:
        if not (0 <= x1 < x2 <= size[0] and 0 <= y1 < y2 <= size[1]):
            box = [x1, y1, x2, y2]
            raise UserError(f"{where} has the box {box} in an image of {size[0]}x{size[1]}; correct the box")


def decoded_size(path: Path) -> Size:
    """Return the size of an image after decoding all of it, which finds damage."""
    return _read(path, lambda image: (image.load(), image.size)[1])


def stated_size(path: Path) -> Size:
    """Return the size that the file's header states, without decoding pixels."""
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
