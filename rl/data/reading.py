"""Reads a folder into samples: the table of formats, and the code that turns their records into samples."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from rl.data.annotations import with_notes
from rl.data.config import DataConfig
from rl.data.grid import cells_of_boxes, cells_of_mask
from rl.data.images import DECODED, Size, check_mask_size, check_within, decoded_size, in_threads, open_mask
from rl.data.masks import mask_boxes
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
from rl.data.readers import mvtec
from rl.data.readers.reader import Reader, Record
from rl.faults import UserError
from rl.types import DEFECTIVE, NORMAL, Box, Cell, Sample, Target, Task

READERS: Mapping[str, Reader] = {
    "mvtec": mvtec.READER,
}
"""The known formats. The first that recognises a folder reads it: a special case stands before what it resembles."""


@dataclass(frozen=True, kw_only=True)
class _Job:
    """A record to be made a sample."""

    record: Record
    unopened: tuple[Path, ...]
    """References that no record before it shows."""
    kinds: tuple[str, ...]
    """Kinds of defects that its category has."""


def read_samples(config: DataConfig) -> list[Sample]:
    """Return the samples of data.root, read by the first reader that recognises it."""
    return samples_of(_reader_of(Path(config.root)), config)


def samples_of(reader: Reader, config: DataConfig) -> list[Sample]:
    """Return a sample per record, folder by folder in the reader's order; open every image and mask once."""
    records = _noted_records(reader, Path(config.root))
    _check_ids(records)
    kinds = _kinds(records)
    if config.task is Task.grounding:
        # A normal image has no place to ask for.
        records = [record for record in records if record.kind]
    return in_threads(partial(_sample, config, reader), list(_jobs(records, kinds)))


def _reader_of(root: Path) -> Reader:
    reader = next((reader for reader in READERS.values() if reader.recognises(root)), None)
    if reader is None:
        wrong = "has no known layout" if any(root.iterdir()) else "is empty"
        known = " or ".join(f"{reader.layout} ({name}: {reader.help})" for name, reader in READERS.items())
        near = [found for reader in READERS.values() if (found := reader.root_near(root))]
        meant = f"did you mean data.root={near[0]}? It is laid" if near else "lay it"
        raise UserError(f"data.root={root} {wrong}; {meant} out as {known}")
    return reader


def _noted_records(reader: Reader, root: Path) -> list[Record]:
    """Return the reader's records by folder, with what each folder's annotations.json notes."""
    found: defaultdict[Path, list[Record]] = defaultdict(list)
    for record in reader.find(root):
        found[record.folder].append(record)
    return [noted for folder, records in found.items() for noted in with_notes(folder, records)]


def _check_ids(records: Sequence[Record]) -> None:
    paths: dict[str, Path] = {}
    for record in records:
        if other := paths.get(record.sample_id):
            raise UserError(f"{other} and {record.path} are both sample {record.sample_id}; rename or remove one")
        paths[record.sample_id] = record.path


def _kinds(records: Sequence[Record]) -> Mapping[str, set[str]]:
    """Return the kinds of defects of each category."""
    kinds: defaultdict[str, set[str]] = defaultdict(set)
    for record in records:
        kinds[record.category] |= {record.kind} - {""}
    return kinds


def _jobs(records: Sequence[Record], kinds: Mapping[str, set[str]]) -> Iterator[_Job]:
    seen: set[Path] = set()
    for record in records:
        unopened = tuple(path for path in record.references if path not in seen)
        seen.update(unopened)
        yield _Job(record=record, unopened=unopened, kinds=tuple(kinds[record.category]))


def _sample(config: DataConfig, reader: Reader, job: _Job) -> Sample:
    record = job.record
    size = decoded_size(record.path)
    if config.with_reference:
        _open_references(job)
    question, target = config.question or QUESTIONS[config.task], _target(record, reader, size, config.task)
    if config.task in WITH_OPTIONS:
        target = _with_option(job, target)
    return Sample(
        id=record.sample_id,
        images=(*record.references, record.path) if config.with_reference else (record.path,),
        question=with_options(question, target.options) if target.options else question,
        target=target,
        category=record.category,
        task=config.task,
        heldout=record.heldout,
    )


def _open_references(job: _Job) -> None:
    if not job.record.references:
        raise UserError(
            f"{job.record.path}: no normal image is known to compare it with; name its reference in annotations.json, "
            "or set data.with_reference=false"
        )
    for path in job.unopened:
        decoded_size(path)


def _target(record: Record, reader: Reader, size: Size, task: Task) -> Target:
    on_grid = task is Task.grid
    if not record.kind:
        return Target(label=NORMAL, rationale=record.rationale, cells=frozenset() if on_grid else None)
    mask = _read_mask(record.mask, record, reader, size) if record.mask else None
    where = record.boxes_from or str(record.path)
    check_within(where, record.boxes, size)
    boxes = record.boxes or (_boxes_of(mask) if mask is not None else ())
    labels = record.labels or (record.kind,) * len(boxes)
    if len(labels) != len(boxes):
        raise UserError(f"{where} has {len(boxes)} boxes and {len(labels)} labels; give each box a label")
    return Target(
        label=DEFECTIVE,
        kind=record.kind,
        boxes=boxes,
        box_labels=labels,
        mask=record.mask,
        rationale=record.rationale,
        cells=_cells(mask, boxes, size) if on_grid else None,
    )


def _boxes_of(mask: np.ndarray) -> tuple[Box, ...]:
    # To number the regions of a mask takes as much memory as to decode an image.
    with DECODED.spent(mask.size):
        return mask_boxes(mask)


def _read_mask(mask: Path, record: Record, reader: Reader, size: Size) -> np.ndarray:
    if not mask.is_file():
        raise UserError(f"{mask}: the mask of {record.path} is missing; add it or {reader.to_normal}")
    pixels = open_mask(mask)
    height, width = pixels.shape
    check_mask_size(mask, (width, height), size)
    if not pixels.any():
        raise UserError(f"{mask}: the mask of a defective image is empty; redraw it or {reader.to_normal}")
    return pixels


def _cells(mask: np.ndarray | None, boxes: tuple[Box, ...], size: Size) -> frozenset[Cell] | None:
    """Return the cells of the mask, or else of the boxes; None if neither says where the defect is."""
    if mask is not None:
        return cells_of_mask(mask)
    return cells_of_boxes(boxes, size) if boxes else None


def _with_option(job: _Job, target: Target) -> Target:
    """Return the target with its options and the right one, to which its reasoning leads."""
    record = job.record
    options = options_of(job.kinds, record.sample_id)
    letter = letter_of(options, kind_text(record.kind) if record.kind else NO_DEFECT)
    rationale = concluding(target.rationale, letter) if target.rationale else ""
    return replace(target, options=options, option=letter, rationale=rationale)
