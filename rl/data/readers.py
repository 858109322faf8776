"""Reads folders in MVTec-AD layout into samples, and refuses bad files before a model is started."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from rl.data.annotations import Note, check_within, entry_of, read_notes
from rl.data.config import DataConfig
from rl.data.grid import cells_of_boxes, cells_of_mask
from rl.data.images import Size, check_mask_size, decoded_size, in_threads, open_mask
from rl.data.questions import (
    NO_DEFECT,
    QUESTIONS,
    WITH_OPTIONS,
    concluding,
    kind_text,
    letter_of,
    options_of,
    with_options,
)
from rl.faults import UserError
from rl.types import Box, Cell, Sample, Target, Task

IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
GOOD = "good"
"""Folder below test/ of the normal images."""
EIGHT_NEIGHBOURS = np.ones((3, 3))
OF_BOXES = ("box", "box_penalty", "grounding")
"""Rewards that compare boxes with the true ones."""
MIN_DEFECT_PIXELS = 4
"""Smaller specks beside a larger region of a mask are annotation noise, not boxes."""


@dataclass(frozen=True, kw_only=True)
class _Inspected:
    """An image below test/, before it is opened."""

    folder: Path
    """Of its category."""
    path: Path
    reference: Path
    opens_reference: bool
    """Whether it is the first that needs its reference, which is opened once."""
    note: Note
    masked: bool
    """Whether the category has masks."""
    kinds: tuple[str, ...]
    """Folders of the category's kinds of defects."""

    @property
    def name(self) -> str:
        """Below the category's folder, e.g. test/scratch/001.png."""
        return self.path.relative_to(self.folder).as_posix()

    @property
    def kind(self) -> str:
        """Its folder, e.g. scratch."""
        return self.path.parent.name

    @property
    def sample_id(self) -> str:
        return f"{self.folder.name}/{Path(self.name).with_suffix('').as_posix()}"


def read_mvtec(config: DataConfig) -> list[Sample]:
    """One sample a test image, in the order of the file names; every image and mask has been opened once."""
    root = Path(config.root)
    categories = sorted(path.parent for path in root.glob("*/test") if path.is_dir())
    if not categories:
        raise UserError(f"{root}: no <category>/test folder; the layout is <category>/{{train/good,test/<defect>}}")
    inspected = [item for category in categories for item in _inspected(category)]
    if config.task is Task.grounding:
        # A normal image has no place to ask for.
        inspected = [item for item in inspected if item.kind != GOOD]
    return in_threads(partial(_sample, config), inspected)


def split_heldout(samples: Sequence[Sample], share: float, seed: int) -> tuple[list[Sample], list[Sample]]:
    """(training, held out): a sample's side depends on its id and the seed alone, so the two never meet."""
    training: list[Sample] = []
    heldout: list[Sample] = []
    for sample in samples:
        digest = hashlib.sha256(f"{seed}/{sample.id}".encode()).digest()
        (heldout if int.from_bytes(digest[:8], "big") < share * 2**64 else training).append(sample)
    if not (training and heldout):
        raise UserError(f"data.heldout_share={share} leaves a side of the {len(samples)} samples empty; add samples")
    return training, heldout


def check_boxes(samples: Sequence[Sample], weight_of: Mapping[str, float]) -> None:
    """Raises a UserError for the first sample that a reward of boxes could not judge; weights by component."""
    needy = next((name for name in OF_BOXES if weight_of.get(name)), "")
    for sample in samples:
        if needy and sample.target.label == "defective" and not sample.target.boxes:
            raise UserError(
                f"sample {sample.id}: nothing says where its defect is, which reward.{needy}.weight={weight_of[needy]} "
                "has to know; add its mask or boxes, or choose reward=yes_no"
            )


def _inspected(folder: Path) -> Iterator[_Inspected]:
    references = _images_in(folder / "train" / "good")
    kinds = sorted(path for path in (folder / "test").iterdir() if path.is_dir())
    images = [(number, path) for kind in kinds for number, path in enumerate(_images_in(kind))]
    notes = read_notes(folder, {path.relative_to(folder).as_posix() for _, path in images})
    seen: set[Path] = set()
    for number, path in images:
        note = notes.get(path.relative_to(folder).as_posix(), Note())
        reference = folder / note.reference if note.reference else references[number % len(references)]
        yield _Inspected(
            folder=folder,
            path=path,
            reference=reference,
            opens_reference=reference not in seen,
            note=note,
            masked=(folder / "ground_truth").exists(),
            kinds=tuple(kind.name for kind in kinds if kind.name != GOOD),
        )
        seen.add(reference)


def _sample(config: DataConfig, item: _Inspected) -> Sample:
    size = decoded_size(item.path)
    if item.opens_reference and config.with_reference:
        decoded_size(item.reference)
    question, target = config.question or QUESTIONS[config.task], _target(item, size, config.task)
    if config.task in WITH_OPTIONS:
        target = _with_option(item, target)
    return Sample(
        id=item.sample_id,
        images=(item.reference, item.path) if config.with_reference else (item.path,),
        question=with_options(question, target.options) if target.options else question,
        target=target,
        category=item.folder.name,
        task=config.task,
    )


def _target(item: _Inspected, size: Size, task: Task) -> Target:
    note, on_grid = item.note, task is Task.grid
    if item.kind == GOOD:
        return Target(label="normal", rationale=note.rationale, cells=frozenset() if on_grid else None)
    path = item.folder / "ground_truth" / item.kind / f"{item.path.stem}_mask.png" if item.masked else None
    mask = _read_mask(path, item.path, size) if path else None
    check_within(entry_of(item.folder, item.name), note.boxes, size)
    boxes = note.boxes or (mask_boxes(mask) if mask is not None else ())
    return Target(
        label="defective",
        boxes=boxes,
        box_labels=note.labels or (item.kind,) * len(boxes),
        mask=path,
        rationale=note.rationale,
        cells=_cells(mask, boxes, size) if on_grid else None,
    )


def _cells(mask: np.ndarray | None, boxes: tuple[Box, ...], size: Size) -> frozenset[Cell] | None:
    """Of the mask or else of the boxes; None where nothing says where the defect is."""
    if mask is not None:
        return cells_of_mask(mask)
    return cells_of_boxes(boxes, size) if boxes else None


def _with_option(item: _Inspected, target: Target) -> Target:
    """With the options of the sample and the right one, to which its reasoning leads."""
    options = options_of(item.kinds, item.sample_id)
    letter = letter_of(options, NO_DEFECT if item.kind == GOOD else kind_text(item.kind))
    rationale = concluding(target.rationale, letter) if target.rationale else ""
    return replace(target, options=options, option=letter, rationale=rationale)


def mask_boxes(mask: np.ndarray) -> tuple[Box, ...]:
    """The box [x1, y1, x2, y2) of each 8-connected region of a mask.

    >>> mask_boxes(np.pad(np.ones((2, 3), bool), 1))
    ((1.0, 1.0, 4.0, 3.0),)
    """
    # Imported here: it takes long, and the command line needs no masks.
    from scipy import ndimage

    regions, _ = ndimage.label(mask, structure=EIGHT_NEIGHBOURS)
    sizes = np.bincount(regions.ravel())[1:]
    return tuple(
        (float(columns.start), float(rows.start), float(columns.stop), float(rows.stop))
        for (rows, columns), size in zip(ndimage.find_objects(regions), sizes, strict=True)
        if size >= min(MIN_DEFECT_PIXELS, sizes.max())
    )


def _read_mask(mask: Path, image: Path, size: Size) -> np.ndarray:
    if not mask.is_file():
        raise UserError(f"{mask}: the mask of {image} is missing; add it or move the image to test/good")
    pixels = open_mask(mask)
    height, width = pixels.shape
    check_mask_size(mask, (width, height), size)
    if not pixels.any():
        raise UserError(f"{mask}: the mask of a defective image is empty; redraw it or move the image to test/good")
    return pixels


def _images_in(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise UserError(f"{folder}: the folder is missing; it holds the category's images")
    images = sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGES and path.name[0] != ".")
    if not images:
        raise UserError(f"{folder}: the folder holds no image ({', '.join(IMAGES)}); add some or remove the folder")
    return images
