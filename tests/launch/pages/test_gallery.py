"""Pictures of the gallery."""

import base64
import io
from pathlib import Path

from PIL import Image

from launch.pages.gallery import data_uri


def test_a_picture_is_embedded_as_it_is_seen_so_that_boxes_fit(tmp_path: Path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (60, 40)).save(tmp_path / "phone.jpg", exif=exif)
    _, _, encoded = data_uri(tmp_path / "phone.jpg").partition("base64,")
    assert Image.open(io.BytesIO(base64.b64decode(encoded))).size == (40, 60)
