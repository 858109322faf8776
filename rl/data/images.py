"""Finds and opens image files; whatever is wrong with one becomes a sentence that names it.

Photos and masks are read as a viewer shows them, turned as their EXIF says: sizes and boxes are in pixels of the image
as it is seen. A mask is turned by its own EXIF alone; one that was drawn over an unturned photo has another size.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Condition
from typing import TypeVar

import numpy as np
from PIL import ExifTags, Image, TiffImagePlugin, UnidentifiedImageError

from rl.faults import UserError, one_line
from rl.files import open_regular
from rl.types import Box

Size = tuple[int, int]
"""(width, height) in pixels."""
Item = TypeVar("Item")
Result = TypeVar("Result")
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
"""Endings, in small letters, of the files that are taken for images."""
FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP")
"""Pillow's names of the formats that are read, whatever a file's ending; to read others, it may start programs."""
DEEP_MODES = ("I;16", "I;16L", "I;16B", "I;16N")
"""Pillow's modes with one unsigned 16-bit number per pixel."""
BARE_MODES = ("1", "L", "I", "F", *DEEP_MODES)
"""Pillow's modes with one plain number per pixel; the others are read as RGB, without their transparency."""
SHOWN_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr")
"""Pillow's modes that say which value is white."""
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""Turn that shows an image upright, by its EXIF orientation; from 5 on, width and height change places."""
MOST_PIXELS = 178_956_970
"""Pixels of the largest image that Pillow opens, and of all images that threads decode at once."""


class PixelBudget:
    """A number of pixels that threads share; one whose image does not fit beside the others' waits."""

    def __init__(self, most: int) -> None:
        self._most = self._left = most
        self._changed = Condition()

    @contextmanager
    def spent(self, num_pixels: int) -> Iterator[None]:
        """Wait for the room of an image and hold it; a larger one than all room waits until it is alone."""
        spent = min(num_pixels, self._most)
        with self._changed:
            self._changed.wait_for(lambda: self._left >= spent)
            self._left -= spent
        try:
            yield
        finally:
            with self._changed:
                self._left += spent
                self._changed.notify_all()


DECODED = PixelBudget(MOST_PIXELS)


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
    return _decoded(path, lambda image: _rgb(_with_white(path, image)))


def open_mask(path: Path) -> np.ndarray:
    """Return bool [height, width], True where the mask is not 0 or, in colour, not black."""
    values = _decoded(path, lambda image: np.asarray(image if image.mode in BARE_MODES else image.convert("RGB")))
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
    return _decoded(path, lambda image: _with_white(path, image).size)


def stated_size(path: Path) -> Size:
    """Return the size that the file's header states, without decoding pixels."""
    with _opened(path) as image:
        width, height = image.size
        return (height, width) if _orientation(image) >= 5 else (width, height)


def _decoded(path: Path, read: Callable[[Image.Image], Result]) -> Result:
    """Return what `read` makes of the upright image."""
    with _opened(path) as image, DECODED.spent(image.width * image.height):
        # The orientation first: once a PNG is loaded, it also tells metadata that follow its pixels.
        turn = TURNS.get(_orientation(image))
        image.load()
        return read(image.transpose(turn) if turn is not None else image)


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation that remains to be applied, one of TURNS, or 1 for none."""
    # Pillow turns a TIFF while it loads it. It would decode a whole PNG to look for metadata behind its pixels, which
    # viewers ignore.
    if image.format == "TIFF" or (image.format == "PNG" and "exif" not in image.info):
        return 1
    stated = image.getexif().get(ExifTags.Base.Orientation)
    return stated if stated in TURNS else 1


def _with_white(path: Path, image: Image.Image) -> Image.Image:
    """Return the image; a UserError names one whose values may mean anything between black and white."""
    if image.mode in SHOWN_MODES or (image.mode in DEEP_MODES and _is_plain_grey(image)):
        return image
    raise UserError(
        f"{path}: nothing says which of the image's values is white (Pillow's mode {image.mode}); save it with 8 bits, "
        "or 16 unsigned bits, a value"
    )


def _is_plain_grey(image: Image.Image) -> bool:
    """Return False for deep grey of fewer than 16 bits, and if 0 is white; Pillow passes both on as they are."""
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return True
    tags = image.tag_v2
    zero_is_white = tags.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION, 0) == 0
    return tags.get(TiffImagePlugin.BITSPERSAMPLE) == (16,) and not zero_is_white


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode in DEEP_MODES:
        # Pillow would clip 16-bit grey at 255.
        grey = np.rint(np.asarray(image) / np.float32(257)).astype(np.uint8)
        return Image.fromarray(grey).convert("RGB")
    return image.convert("RGB")


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """Open an image file; whatever fails until it is closed becomes a UserError."""
    try:
        with open_regular(path) as file, Image.open(file, formats=FORMATS) as image:
            yield image
    except UserError:
        raise
    except FileNotFoundError as error:
        raise UserError(f"{path}: the image is missing; restore it or take away what names it") from error
    except UnidentifiedImageError as error:
        raise UserError(
            f"{path}: the image is damaged, or none of {', '.join(FORMATS)}; replace it or take it away"
        ) from error
    except Image.DecompressionBombError as error:
        raise UserError(f"{path}: the image is too large to be opened ({error}); scale it down") from error
    except Exception as error:  # Decoders raise nearly anything on damaged bytes.
        raise UserError(f"{path}: the image is damaged ({one_line(error)}); replace it or take it away") from error
