"""Image files of every kind that cameras, editors and strangers make, from a seeded random source."""

import os
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
from PIL import Image

ORIENTATION = 0x0112
"""EXIF's tag."""
TURNED: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    1: lambda pixels: pixels,
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: np.rot90(pixels, -1),
    7: lambda pixels: pixels[::-1, ::-1].swapaxes(0, 1),
    8: lambda pixels: np.rot90(pixels),
}
"""Pixels as they are seen, by EXIF orientation."""
LOSSLESS = {"png": "PNG", "tif": "TIFF", "bmp": "BMP"}
SUFFIXES = ("png", "jpg", "tif", "bmp", "webp")
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n%%EOF\n"
NO_IMAGES = (b"", b"no image", b"<svg xmlns='x'/>", b"%PDF-1.7\n", b"II*\x00", b"\x89PNG\r\n\x1a\n", b"\xff\xd8", EPS)


@dataclass(frozen=True)
class Picture:
    """A file, and what is to be read of it."""

    path: Path
    seen: np.ndarray | None = None
    """RGB pixels [height, width, 3]; None if they are not known."""
    is_refused: bool = False
    """True if nothing can be read."""


def noise(rng: Random, kind: type = np.uint8, channels: int = 3) -> np.ndarray:
    source = np.random.default_rng(rng.getrandbits(32))
    shape = (rng.randrange(1, 24), rng.randrange(1, 24), channels)[: 3 if channels > 1 else 2]
    return source.integers(0, np.iinfo(kind).max, shape, dtype=kind, endpoint=True)


def save(image: Image.Image, path: Path, orientation: int = 1, **options: object) -> Path:
    """Save an image with an EXIF orientation."""
    if orientation == 1 or path.suffix == ".bmp":
        image.save(path, **options)
    elif path.suffix == ".tif":
        image.save(path, tiffinfo={ORIENTATION: orientation}, **options)
    else:
        exif = Image.Exif()
        exif[ORIENTATION] = orientation
        image.save(path, exif=exif, **options)
    return path


def turned(rng: Random, folder: Path) -> Picture:
    suffix, orientation, pixels = rng.choice((*LOSSLESS, "webp")), rng.randrange(1, 9), noise(rng)
    options = {"lossless": True} if suffix == "webp" else {}
    path = save(Image.fromarray(pixels), folder / f"turned.{suffix}", orientation, **options)
    return Picture(path, TURNED[1 if suffix == "bmp" else orientation](pixels))


def misnamed(rng: Random, folder: Path) -> Picture:
    pixels = noise(rng)
    path = folder / f"misnamed.{rng.choice(SUFFIXES)}"
    Image.fromarray(pixels).save(path, rng.choice(("PNG", "TIFF", "BMP")))
    return Picture(path, pixels)


def deep(rng: Random, folder: Path) -> Picture:
    pixels = noise(rng, np.uint16, 1)
    path = save(Image.fromarray(pixels), folder / f"deep.{rng.choice(('png', 'tif'))}")
    return Picture(path, np.repeat(((pixels.astype(int) * 2 + 257) // 514)[..., None], 3, axis=2))


def without_white(rng: Random, folder: Path) -> Picture:
    pixels = noise(rng, np.int32, 1).astype(rng.choice((np.int32, np.float32)))
    return Picture(save(Image.fromarray(pixels), folder / "wide.tif"), is_refused=True)


def odd(rng: Random, folder: Path) -> Picture:
    mode = rng.choice(("1", "L", "P", "LA", "RGBA", "CMYK", "YCbCr", "LAB"))
    image = Image.fromarray(noise(rng)).convert("RGB")
    image = Image.new("LAB", image.size) if mode == "LAB" else image.convert(mode)
    return Picture(save(image, folder / "odd.tif", rng.randrange(1, 9)), is_refused=mode == "LAB")


def moving(rng: Random, folder: Path) -> Picture:
    frames = [Image.fromarray(noise(rng)).resize((9, 7)) for _ in range(3)]
    suffix = rng.choice(("png", "tif", "webp"))
    options = {"lossless": True} if suffix == "webp" else {}
    path = save(frames[0], folder / f"moving.{suffix}", save_all=True, append_images=frames[1:], **options)
    return Picture(path, np.asarray(frames[0]))


def damaged(rng: Random, folder: Path) -> Picture:
    suffix = rng.choice(SUFFIXES)
    path = save(Image.fromarray(noise(rng)), folder / f"damaged.{suffix}", rng.randrange(1, 9))
    data = bytearray(path.read_bytes())
    if rng.random() < 0.4:
        del data[rng.randrange(len(data)) :]
    else:
        for _ in range(rng.choice((1, 1, 3, 30))):
            # Most of what a file says about itself stands near its beginning or, in a TIFF, its end.
            place = rng.choice((rng.randrange(len(data)), rng.randrange(min(120, len(data))), -rng.randrange(1, 40)))
            data[place] = rng.choice((0, 255, rng.randrange(256), data[place] ^ (1 << rng.randrange(8))))
    path.write_bytes(data)
    return Picture(path)


def other_format(rng: Random, folder: Path) -> Picture:
    path = folder / f"other.{rng.choice(SUFFIXES)}"
    name = rng.choice(("GIF", "PPM", "TGA", "ICO", "PCX", "JPEG2000", "PDF", "EPS", ""))
    if name:
        Image.fromarray(noise(rng)).resize((16, 16)).save(path, name)
    else:
        path.write_bytes(rng.choice(NO_IMAGES))
    return Picture(path, is_refused=True)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def huge(rng: Random, folder: Path) -> Picture:
    """Write a file whose head states far more pixels than follow."""
    side = rng.choice((14_000, 60_000, 2**31 - 1))
    path = folder / "huge.png"
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b""))
    return Picture(path, is_refused=True)


def no_file(rng: Random, folder: Path) -> Picture:
    path = folder / f"none.{rng.choice(SUFFIXES)}"
    kind = rng.randrange(6)
    if kind == 0:
        os.mkfifo(path)
    elif kind == 1:
        path.mkdir()
    elif kind < 5:
        path.symlink_to((path, folder / "gone", "/dev/zero")[kind - 2])
    return Picture(path, is_refused=True)


MAKERS = (turned, misnamed, deep, without_white, odd, moving, damaged, damaged, damaged, other_format, huge, no_file)


def picture(rng: Random, folder: Path) -> Picture:
    return rng.choice(MAKERS)(rng, folder)
