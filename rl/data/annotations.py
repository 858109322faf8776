"""Reads annotations.json: what the demo's generator, or a user, noted beside a category's images."""

import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rl.data.images import Size
from rl.faults import UserError
from rl.types import Box

NAME = "annotations.json"
KEYS = ("reference", "boxes", "labels", "rationale")


@dataclass(frozen=True, kw_only=True)
class Note:
    """The entry of one image; what it leaves out is empty."""

    reference: str = ""
    """File of the normal image that it is compared with, below the category's folder."""
    boxes: tuple[Box, ...] = ()
    """Of the defects, [x1, y1, x2, y2) in pixels; they win over the mask's."""
    labels: tuple[str, ...] = ()
    """Defect type of each box."""
    rationale: str = ""
    """A reasoning that leads to the truth."""


def read_notes(folder: Path, names: Collection[str]) -> dict[str, Note]:
    """The notes of a category by image, e.g. test/scratch/001.png; `names` are the images that it has."""
    path = folder / NAME
    if not path.exists():
        return {}
    entries = _load(path)
    if not isinstance(entries, dict):
        raise UserError(f'{path}: the file holds no object; write {{"test/<defect>/NNN.png": {{…}}, …}}')
    for name in entries:
        if name not in names:
            raise UserError(f"{path}: there is no image '{name}' in {folder}; correct the name or remove the entry")
    return {name: _note(entry_of(folder, name), name, entry) for name, entry in entries.items()}


def entry_of(folder: Path, name: str) -> str:
    """Where an image's note stands, to begin a sentence with."""
    return f"{folder / NAME}: entry '{name}'"


def check_within(where: str, boxes: tuple[Box, ...], size: Size) -> None:
    """Raises a UserError for the first box that leaves the image."""
    for box in boxes:
        if box[2] > size[0] or box[3] > size[1]:
            raise UserError(f"{where} has the box {list(box)} in an image of {size[0]}x{size[1]}; correct the box")


def _load(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise UserError(f"{path}: line {error.lineno} is not JSON ({error.msg}); mend the file") from error
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: the file is no readable text ({error}); mend or remove it") from error


def _note(where: str, name: str, entry: Any) -> Note:
    """The note, its fields checked; whether the boxes lie in the image is seen when that is opened."""
    if not isinstance(entry, dict):
        raise UserError(f"{where} is {json.dumps(entry)}, not an object; give any of {', '.join(KEYS)}, or remove it")
    for key in entry:
        if key not in KEYS:
            raise UserError(f"{where} has the unknown key '{key}'; its keys are {', '.join(KEYS)}")
    note = Note(
        reference=_text(where, entry, "reference"),
        boxes=_boxes(where, entry),
        labels=_labels(where, entry),
        rationale=_text(where, entry, "rationale"),
    )
    _check_boxes(where, name, entry, note)
    return note


def _check_boxes(where: str, name: str, entry: dict[str, Any], note: Note) -> None:
    good = name.startswith("test/good/")
    if good and note.boxes:
        raise UserError(f"{where} has boxes, yet the image is normal; remove them or move it to test/<defect>")
    if not good and "boxes" in entry and not note.boxes:
        raise UserError(f"{where} has no box, yet the image is defective; add one, or leave out boxes")
    if "labels" in entry and len(note.labels) != len(note.boxes):
        raise UserError(
            f"{where} has {len(note.boxes)} boxes and {len(note.labels)} labels; give each box a label, "
            "or leave out labels"
        )


def _text(where: str, entry: dict[str, Any], key: str) -> str:
    text = entry.get(key, "")
    if not isinstance(text, str):
        raise UserError(f"{where}: {key} is {json.dumps(text)}, not a text; put it in quotes or leave it out")
    return text


def _boxes(where: str, entry: dict[str, Any]) -> tuple[Box, ...]:
    boxes = entry.get("boxes", [])
    if not isinstance(boxes, list):
        raise UserError(f"{where}: boxes is {json.dumps(boxes)}, not a list; write [[x1, y1, x2, y2], …]")
    for box in boxes:
        if not _is_box(box):
            raise UserError(
                f"{where} has the box {json.dumps(box)}; write [x1, y1, x2, y2] in pixels, 0 ≤ x1 < x2 and 0 ≤ y1 < y2"
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
        raise UserError(f'{where}: labels is {json.dumps(labels)}; write ["<defect>", …], one for each box')
    return tuple(labels)
