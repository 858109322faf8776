"""Image files, good and bad, small and huge."""

import struct
import threading
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rl.data.images import (
    DECODED,
    MOST_PIXELS,
    PixelBudget,
    check_within,
    decoded_size,
    in_threads,
    open_image,
    open_mask,
    stated_size,
)
from rl.faults import UserError


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def write_huge(path: Path) -> Path:
    """A PNG of 14,000 x 14,000 pixels, as far as its head tells."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 14_000, 14_000, 8, 0, 0, 0, 0))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b""))
    return path


@pytest.mark.parametrize("read", [open_image, open_mask, decoded_size, stated_size])
def test_a_huge_image_is_to_be_scaled_down(tmp_path, read):
    path = write_huge(tmp_path / "huge.png")
    with pytest.raises(ValueError) as raised:
        read(path)
    assert str(raised.value).startswith(f"{path}: the image is too large to be opened (")
    assert str(raised.value).endswith("; scale it down") and "\n" not in str(raised.value)


@pytest.mark.parametrize("suffix", ["png", "jpg", "tiff", "webp", "bmp"])
def test_a_truncated_image_of_any_kind_is_damaged(tmp_path, suffix):
    path = tmp_path / f"part.{suffix}"
    noise = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    assert decoded_size(path) == stated_size(path) == (50, 40)
    for share in (2, 20, 200):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // share])
        with pytest.raises(ValueError, match="the image is damaged"):
            decoded_size(path)


def test_results_come_in_the_order_of_the_items():
    second_done = threading.Event()

    def wait_for_the_second(item: int) -> int:
        if item == 1:
            second_done.wait(timeout=10)
        else:
            second_done.set()
        return item * item

    assert in_threads(wait_for_the_second, [1, 2, 3]) == [1, 4, 9]


def test_the_first_fault_in_order_is_raised_whichever_comes_first_in_time():
    second_failed = threading.Event()

    def fail(item: int) -> None:
        if item == 1:
            second_failed.wait(timeout=10)
        else:
            second_failed.set()
        raise ValueError(f"item {item}")

    with pytest.raises(ValueError, match="item 1"):
        in_threads(fail, [1, 2, 3])


MARKS: dict[str, tuple] = {
    "1": (1,),
    "L": (1, 255),
    "P": (1, 2),
    "I": (1, 70_000),
    "I;16": (1, 256, 65_535),
    "F": (0.25, 1.0),
    "RGB": ((0, 0, 1), (255, 255, 255)),
    "RGBA": ((0, 1, 0, 255), (255, 0, 0, 0)),
    "LA": ((1, 255), (255, 0)),
}


@pytest.mark.parametrize("mode,value", [(mode, value) for mode, values in MARKS.items() for value in values])
def test_what_is_not_zero_in_a_mask_is_defective_in_any_mode(tmp_path: Path, mode: str, value) -> None:
    image = Image.new(mode, (5, 3), tuple(0 if i < 3 else 255 for i in range(4)) if mode == "RGBA" else 0)
    if mode == "P":
        image.putpalette([0, 0, 0, 0, 0, 1, 128, 0, 0])
    image.putpixel((4, 1), value)
    image.save(tmp_path / "mask.tif")
    with Image.open(tmp_path / "mask.tif") as stored:
        assert stored.mode == mode
    mask = open_mask(tmp_path / "mask.tif")
    assert mask.dtype == bool
    assert np.argwhere(mask).tolist() == [[1, 4]]


def test_a_mask_that_does_not_open_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="gone.png"):
        open_mask(tmp_path / "gone.png")
    (tmp_path / "torn.png").write_bytes(b"\x89PNG torn")
    with pytest.raises(ValueError, match="torn.png"):
        open_mask(tmp_path / "torn.png")


def test_a_box_has_an_area_and_may_touch_the_images_edge_but_not_leave_it():
    check_within("notes: entry 'a'", ((0, 0, 20, 10),), (20, 10))
    for box in ((0, 0, 21, 10), (0, 0, 20, 10.5), (-1, 0, 20, 10), (4, 0, 4, 10), (0, 6, 20, 5)):
        with pytest.raises(ValueError, match="notes: entry 'a' has the box .* in an image of 20x10; correct the box"):
            check_within("notes: entry 'a'", (box,), (20, 10))


CORNER = np.zeros((2, 3, 3), np.uint8)
CORNER[0, 2] = 200
"""A picture of 3x2 pixels, black but for the upper right one."""
SEEN = {1: (0, 2), 2: (0, 0), 3: (1, 0), 4: (1, 2), 5: (2, 0), 6: (2, 1), 7: (0, 1), 8: (0, 0)}
"""Row and column of that pixel as a viewer shows it, by EXIF orientation, from the table of the EXIF standard."""


def oriented(path: Path, orientation: int) -> Path:
    exif = Image.Exif()
    exif[0x0112] = orientation
    tags = {"tiffinfo": {0x0112: orientation}} if path.suffix == ".tif" else {"exif": exif}
    Image.fromarray(CORNER).save(path, lossless=True, **tags)
    return path


@pytest.mark.parametrize("suffix", ["png", "tif", "webp"])
@pytest.mark.parametrize("orientation", SEEN)
def test_an_image_and_a_mask_are_turned_as_their_exif_says(tmp_path: Path, suffix: str, orientation: int) -> None:
    path = oriented(tmp_path / f"turned.{suffix}", orientation)
    width, height = (3, 2) if orientation < 5 else (2, 3)
    image = open_image(path)
    assert image.size == decoded_size(path) == stated_size(path) == (width, height)
    assert image.getpixel(SEEN[orientation][::-1]) == (200, 200, 200)
    assert np.argwhere(open_mask(path)).tolist() == [list(SEEN[orientation])]


def test_a_jpeg_from_a_phone_held_upright_is_seen_upright(tmp_path: Path) -> None:
    """Orientation 6, in which phones store what they see when held upright, and one that no standard knows."""
    for orientation, size in ((6, (40, 60)), (9, (60, 40))):
        exif = Image.Exif()
        exif[0x0112] = orientation
        Image.new("RGB", (60, 40)).save(tmp_path / "phone.jpg", exif=exif)
        assert open_image(tmp_path / "phone.jpg").size == stated_size(tmp_path / "phone.jpg") == size


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_16_unsigned_bits_are_scaled_so_that_white_stays_white(tmp_path: Path, suffix: str) -> None:
    Image.fromarray(np.array([[0, 128, 129, 257, 40_000, 65_535]], np.uint16)).save(tmp_path / f"deep.{suffix}")
    assert np.asarray(open_image(tmp_path / f"deep.{suffix}"))[0, :, 0].tolist() == [0, 0, 1, 1, 156, 255]


@pytest.mark.parametrize("kind", [np.int32, np.float32])
def test_values_without_a_white_are_refused_rather_than_guessed(tmp_path: Path, kind: type) -> None:
    path = tmp_path / "wide.tif"
    Image.fromarray(np.array([[0, 1], [2, 40_000]], kind)).save(path)
    for read in (open_image, decoded_size):
        with pytest.raises(UserError, match=f"^{path}: nothing says which of the image's values is white .*; save it"):
            read(path)
    assert open_mask(path).tolist() == [[False, True], [True, True]]


def test_an_eps_under_another_name_reaches_no_ghostscript(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n")
    with pytest.raises(UserError, match=f"^{path}: the image is damaged, or none of PNG, JPEG, BMP, TIFF, WEBP; "):
        open_image(path)


def test_threads_wait_so_that_few_pixels_are_decoded_at_once() -> None:
    budget, lock = PixelBudget(100), threading.Lock()
    held: list[int] = []
    most: list[int] = []

    def decode(num_pixels: int) -> None:
        with budget.spent(num_pixels):
            with lock:
                held.append(num_pixels)
                most.append(sum(held))
            time.sleep(0.002)
            with lock:
                held.remove(num_pixels)

    in_threads(decode, [60, 50, 40, 30, 20] * 8)
    assert 60 < max(most) <= 100
    # What is larger than all room is decoded alone.
    in_threads(decode, [500, 500])
    assert max(most) == 500


def test_an_image_is_decoded_once_the_others_leave_room(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "photo.png")
    for read, waits in ((open_image, True), (open_mask, True), (decoded_size, True), (stated_size, False)):
        thread = threading.Thread(target=read, args=(tmp_path / "photo.png",))
        with DECODED.spent(MOST_PIXELS):
            thread.start()
            thread.join(0.05 if waits else 10)
            assert thread.is_alive() == waits
        thread.join(10)
        assert not thread.is_alive()
