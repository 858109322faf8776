"""Reads folders in MVTec-AD layout into samples, and refuses bad files before a model is started."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy import ndimage

from rl.data.config import DataConfig
from rl.types import Box, Sample, Target

IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
EIGHT_NEIGHBOURS = np.ones((3, 3))
MIN_DEFECT_PIXELS = 4
"""Smaller specks beside a larger region of a mask are annotation noise, not boxes."""


def read_mvtec(config: DataConfig) -> list[Sample]:
    """One sample a test image, in the order of the file names; every image and mask has been opened once."""
    root = Path(config.root)
    categories = sorted(path.parent for path in root.glob("*/test") if path.is_dir())
    if not categories:
        raise ValueError(f"{root}: no <category>/test folder; the layout is <category>/{{train/good,test/<defect>}}")
    return [sample for category in categories for sample in _read_category(category, config.question)]


def split_heldout(samples: Sequence[Sample], share: float, seed: int) -> tuple[list[Sample], list[Sample]]:
    """(training, held out): a sample's side depends on its id and the seed alone, so the two never meet."""
    training: list[Sample] = []
    heldout: list[Sample] = []
    for sample in samples:
        digest = hashlib.sha256(f"{seed}/{sample.id}".encode()).digest()
        (heldout if int.from_bytes(digest[:8], "big") < share * 2**64 else training).append(sample)
    if not (training and heldout):
        raise ValueError(f"data.heldout_share={share} leaves a side of the {len(samples)} samples empty; add samples")
    return training, heldout


def _read_category(folder: Path, question: str) -> list[Sample]:
    annotations = _annotations(folder / "annotations.json")
    references = _images_in(folder / "train" / "good")
    kinds = sorted(path for path in (folder / "test").iterdir() if path.is_dir())
    return [
        _sample(folder, path, references[number % len(references)], question, annotations)
        for kind in kinds
        for number, path in enumerate(_images_in(kind))
    ]


def _sample(folder: Path, path: Path, reference: Path, question: str, annotations: dict[str, Any]) -> Sample:
    name = path.relative_to(folder).as_posix()
    noted = annotations.get(name)
    if noted:
        reference = folder / noted["reference"]
    size = _checked_size(path)
    _checked_size(reference)
    return Sample(
        id=f"{folder.name}/{path.relative_to(folder).with_suffix('').as_posix()}",
        images=(reference, path),
        question=question,
        target=_target(folder, path, size, noted),
        category=folder.name,
    )


def _target(folder: Path, path: Path, size: tuple[int, int], noted: dict[str, Any] | None) -> Target:
    kind = path.parent.name
    rationale = noted["rationale"] if noted else ""
    if kind == "good":
        return Target(label="normal", rationale=rationale)
    mask = folder / "ground_truth" / kind / f"{path.stem}_mask.png"
    found = mask_boxes(_read_mask(mask, path, size))
    boxes = tuple(tuple(box) for box in noted["boxes"]) if noted else found
    labels = tuple(noted["labels"]) if noted else (kind,) * len(boxes)
    return Target(label="defective", boxes=boxes, box_labels=labels, mask=mask, rationale=rationale)


def mask_boxes(mask: np.ndarray) -> tuple[Box, ...]:
    """The box [x1, y1, x2, y2) of each 8-connected region of a mask.

    >>> mask_boxes(np.pad(np.ones((2, 3), bool), 1))
    ((1.0, 1.0, 4.0, 3.0),)
    """
    regions, _ = ndimage.label(mask, structure=EIGHT_NEIGHBOURS)
    sizes = np.bincount(regions.ravel())[1:]
    return tuple(
        (float(columns.start), float(rows.start), float(columns.stop), float(rows.stop))
        for (rows, columns), size in zip(ndimage.find_objects(regions), sizes, strict=True)
        if size >= min(MIN_DEFECT_PIXELS, sizes.max())
    )


def _read_mask(mask: Path, image: Path, size: tuple[int, int]) -> np.ndarray:
    if not mask.is_file():
        raise ValueError(f"{mask}: the mask of {image} is missing; add it or move the image to test/good")
    mask_size = _checked_size(mask)
    if mask_size != size:
        raise ValueError(
            f"{mask}: the mask is {mask_size[0]}x{mask_size[1]} and its image {size[0]}x{size[1]}; redraw it"
        )
    with Image.open(mask) as opened:
        pixels = np.asarray(opened.convert("L")) > 0
    if not pixels.any():
        raise ValueError(f"{mask}: the mask of a defective image is empty; redraw it or move the image to test/good")
    return pixels


def _checked_size(path: Path) -> tuple[int, int]:
    """(width, height) of an image that decodes."""
    try:
        with Image.open(path) as image:
            image.load()
            return image.size
    except FileNotFoundError as error:
        raise ValueError(f"{path}: the image is missing; restore it") from error
    except (OSError, SyntaxError) as error:
        raise ValueError(f"{path}: the image is damaged ({error}); replace it or remove it") from error


def _images_in(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise ValueError(f"{folder}: the folder is missing; it holds the category's images")
    images = sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGES and path.name[0] != ".")
    if not images:
        raise ValueError(f"{folder}: the folder holds no image ({', '.join(IMAGES)}); add some or remove the folder")
    return images


def _annotations(path: Path) -> dict[str, Any]:
    """What the demo's generator, or a user, noted beside the images; {} where there is no such file."""
    if not path.exists():
        return {}
    try:
        return json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}: line {error.lineno} is not JSON ({error.msg}); mend the file") from error
