"""Reads annotations.json: what the demo's generator, or a user, noted about the images of a folder."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rl.data.readers.reader import Record
from rl.documents import read_json
from rl.faults import UserError, brief
from rl.files import below
from rl.types import Box

NAME = "annotations.json"
KEYS = ("reference", "boxes", "labels", "rationale")


@dataclass(frozen=True, kw_only=True)
class Note:
    """The entry of one image; fields that it leaves out are empty."""

    reference: str = ""
    """File of the normal image to compare with, below the folder of the notes."""
    boxes: tuple[Box, ...] = ()
    """Defect boxes [x1, y1, x2, y2) in pixels."""
    labels: tuple[str, ...] = ()
    """Defect type of each box."""
    rationale: str = ""
    """A reasoning that leads to the truth."""


def with_notes(folder: Path, records: Sequence[Record]) -> list[Record]:
    """Return the records of a folder, with what its annotations.json notes in place of what their format found."""
    notes = read_notes(folder, {record.name: not record.kind for record in records})
    return [_noted(record, notes[record.name]) if record.name in notes else record for record in records]


def _noted(record: Record, note: Note) -> Record:
    noted = replace(
        record,
        references=(record.folder / note.reference,) if note.reference else record.references,
        rationale=note.rationale or record.rationale,
    )
    if not note.boxes:
        return noted
    return replace(noted, boxes=note.boxes, labels=note.labels, boxes_from=_entry(record.folder, record.name))


def read_notes(folder: Path, images: Mapping[str, bool]) -> dict[str, Note]:
    """Return the notes of a folder by image, e.g. test/scratch/001.png; `images` maps each to True if it is normal."""
    path = folder / NAME
    if not path.exists():
        return {}
    entries = read_json(path)
    if not isinstance(entries, dict):
        raise UserError(f'{path}: the file holds no object; write {{"<image>": {{…}}, …}}')
    for name in entries:
        if name not in images:
            raise UserError(
                f"{path}: there is no image '{brief(name)}' in {folder}; correct the name or remove the entry"
            )
    return {name: _note(folder, name, entry, is_normal=images[name]) for name, entry in entries.items()}


def _entry(folder: Path, name: str) -> str:
    """Return the start of a sentence about an image's note."""
    return f"{folder / NAME}: entry '{name}'"


def _note(folder: Path, name: str, entry: Any, *, is_normal: bool) -> Note:
    """Return the checked note; boxes that leave the image are found when the image is opened."""
    where = _entry(folder, name)
    if not isinstance(entry, dict):
        raise UserError(f"{where} is {_shown(entry)}, not an object; give any of {', '.join(KEYS)}, or remove it")
    for key in entry:
        if key not in KEYS:
            raise UserError(f"{where} has the unknown key '{brief(key)}'; its keys are {', '.join(KEYS)}")
    note = Note(
        reference=_reference(where, folder, entry),
        boxes=_boxes(where, entry),
        labels=_labels(where, entry),
        rationale=_text(where, entry, "rationale"),
    )
    if is_normal and note.boxes:
        raise UserError(f"{where} has boxes, yet the image is normal; remove them or correct its label")
    if not is_normal and "boxes" in entry and not note.boxes:
        raise UserError(f"{where} has no box, yet the image is defective; add one, or leave out boxes")
    if "labels" in entry and len(note.labels) != len(note.boxes):
        raise UserError(
            f"{where} has {len(note.boxes)} boxes and {len(note.labels)} labels; give each box a label, "
            "or leave out labels"
        )
    return note


def _shown(value: Any) -> str:
    return brief(json.dumps(value))


def _reference(where: str, folder: Path, entry: dict[str, Any]) -> str:
    name = _text(where, entry, "reference")
    if name:
        below(where, folder, name)
    return name


def _text(where: str, entry: dict[str, Any], key: str) -> str:
    text = entry.get(key, "")
    if not isinstance(text, str):
        raise UserError(f"{where}: {key} is {_shown(text)}, not a text; put it in quotes or leave it out")
    return text


def _boxes(where: str, entry: dict[str, Any]) -> tuple[Box, ...]:
    boxes = entry.get("boxes", [])
    if not isinstance(boxes, list):
        raise UserError(f"{where}: boxes is {_shown(boxes)}, not a list; write [[x1, y1, x2, y2], …]")
    for box in boxes:
        if not _is_box(box):
            raise UserError(
                f"{where} has the box {_shown(box)}; write [x1, y1, x2, y2] in pixels, 0 ≤ x1 < x2 and 0 ≤ y1 < y2"
            )
    return tuple((float(x1), float(y1), float(x2), float(y2)) for x1, y1, x2, y2 in boxes)


def _is_box(box: Any) -> bool:
    if not (isinstance(box, list) and [type(edge) in (int, float) for edge in box] == [True] * 4):
        return False
    x1, y1, x2, y2 = box
    return 0 <= x1 < x2 and 0 <= y1 < y2


def _labels(where: str, entry: dict[str, Any]) -> tuple[str, ...]:
    labels = entry.get("labels", [])
    if not (isinstance(labels, list) and all(isinstance(label, str) and label for label in labels)):
        raise UserError(f'{where}: labels is {_shown(labels)}; write ["<defect>", …], one for each box')
    return tuple(labels)
