"""Parsers of boxes in MMR-AD's form, {'bbox_2d': [x1, y1, x2, y2], 'label': '…'}, and in JSON."""

import re

from rewards.answers.spans import Span, excerpt
from rl.types import Box

Boxes = tuple[tuple[Box, ...], tuple[str, ...]]
"""The well-formed boxes and their labels."""

MAX_BOXES = 64
"""Maximum number of boxes read from an answer; the rest are ignored and reported."""
MAX_BOX_CHARACTERS = 400
TOO_MANY = f"more than {MAX_BOXES} boxes; the rest were not read"

# Nothing that captures or looks ahead stands in a possessive group: Python before 3.11.5 misreads that.
QUOTED = r"""(?:"(?P<double>[^"{}]*+)"|'(?P<single>(?:[^'{}]|'(?=\w))*)')"""
BOX = re.compile(
    r"""\s*+["']bbox_2d["']\s*+:\s*+\[(?P<numbers>[^\[\]]*+)\]\s*+"""
    r"""(?:,\s*+["']label["']\s*+:\s*+""" + QUOTED + r"""\s*+)?,?+\s*+"""
)
NUMBER = r"\s*+([-+]?[0-9]{1,7}(?:\.[0-9]{0,9})?)\s*+"
CORNERS = re.compile(",".join([NUMBER] * 4))

JSON_BOX = r'"bbox_2d"\s*+:\s*+\[([^\[\]]{0,200}+)\]'
JSON_LABEL = r'"label"\s*+:\s*+"((?:[^"\\\x00-\x1f]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4}){0,400}+)"'
JSON_OBJECT = re.compile(rf"\{{\s*+(?:{JSON_BOX}(?:\s*+,\s*+{JSON_LABEL})?|{JSON_LABEL}\s*+,\s*+{JSON_BOX})\s*+\}}")
JSON_FORM = re.compile(
    r"\s*+(?:```(?:json)?+)?+\s*+(?:\{\}|\[\s*+(?:\{\}(?:\s*+,\s*+\{\})*+)?+\s*+\])\s*+(?:```)?+\s*+"
)
"""Form of an answer after each of its objects has been replaced by {}."""


def read_boxes(span: Span, image_size: tuple[int, int], faults: list[str]) -> Boxes:
    """Return the boxes in MMR-AD's form and their labels; skip text outside the braces and add faults to `faults`.

    >>> read_boxes(Span(0, "Yes. {'bbox_2d': [9, 2, 3.5, 4], 'label': 'pill's edge'}", True), (10, 10), [])
    (((3.5, 2.0, 9.0, 4.0),), ("pill's edge",))
    """
    start, said, _ = span
    boxes: list[Box] = []
    labels: list[str] = []
    opening = said.find("{")
    for number in range(1, MAX_BOXES + 1):
        if opening < 0:
            return tuple(boxes), tuple(labels)
        closing = said.find("}", opening, opening + MAX_BOX_CHARACTERS)
        body = said[opening + 1 : closing] if closing >= 0 else None
        box, label, fault = _read_box(body, image_size)
        if box:
            boxes.append(box)
            labels.append(label)
        if fault:
            faults.append(f"box {number} at character {start + opening} {fault}: {excerpt(said, opening)}")
        opening = said.find("{", closing if closing >= 0 else opening + 1)
    if opening >= 0:
        faults.append(TOO_MANY)
    return tuple(boxes), tuple(labels)


def read_json_boxes(span: Span, image_size: tuple[int, int], faults: list[str]) -> Boxes:
    """Return the boxes and labels of an answer that is a JSON object or a list of them, and add faults to `faults`.

    The JSON may stand in a code fence; an empty list has no boxes.

    >>> read_json_boxes(Span(0, '[{"bbox_2d": [1, 2, 3, 4], "label": "cup"}]', True), (10, 10), [])
    (((1.0, 2.0, 3.0, 4.0),), ('cup',))
    """
    start, said, _ = span
    boxes: list[Box] = []
    labels: list[str] = []
    num_faults = len(faults)
    opening = said.find("{")
    for number in range(1, MAX_BOXES + 1):
        if opening < 0:
            break
        match = JSON_OBJECT.match(said, opening)
        box, label, fault = _read_json_box(match, image_size)
        if box:
            boxes.append(box)
            labels.append(label)
        if fault:
            faults.append(f"box {number} at character {start + opening} {fault}: {excerpt(said, opening)}")
        opening = said.find("{", match.end() if match else opening + 1)
    if opening >= 0:
        faults.append(TOO_MANY)
    if len(faults) == num_faults and not JSON_FORM.fullmatch(JSON_OBJECT.sub("{}", said)):
        faults.append(f"the answer is no JSON object or list of them at character {start}: {excerpt(said)}")
    return tuple(boxes), tuple(labels)


def _read_box(body: str | None, image_size: tuple[int, int]) -> tuple[Box | None, str, str]:
    """Return (box, label, fault); a box without a label is returned and has a fault as well."""
    if body is None:
        return None, "", "is not closed"
    match = BOX.fullmatch(body)
    if not match:
        return None, "", "is not {'bbox_2d': [x1, y1, x2, y2], 'label': '…'}"
    return _checked(match["numbers"], match["double"] or match["single"], image_size)


def _read_json_box(match: re.Match[str] | None, image_size: tuple[int, int]) -> tuple[Box | None, str, str]:
    if not match:
        return None, "", 'is not {"bbox_2d": [x1, y1, x2, y2], "label": "…"}'
    numbers, label, first_label, last_numbers = match.groups()
    said = label or first_label or ""
    plain = said.replace('\\"', '"').replace("\\\\", "\\") if "\\" in said else said
    return _checked(last_numbers if numbers is None else numbers, plain, image_size)


def _checked(numbers: str, label: str | None, image_size: tuple[int, int]) -> tuple[Box | None, str, str]:
    corners = CORNERS.fullmatch(numbers)
    if not corners:
        return None, "", "has other than four numbers"
    box = _inside([float(corner) for corner in corners.groups()], image_size)
    if box is None:
        return None, "", f"covers nothing of the {image_size[0]}×{image_size[1]} image"
    return box, label or "", "" if label else "has no label"


def _inside(values: list[float], image_size: tuple[int, int]) -> Box | None:
    """Return the box with its corners in order, cut to the image; None if no area is left."""
    (left, right), (top, bottom) = sorted(values[0::2]), sorted(values[1::2])
    width, height = image_size
    left, top, right, bottom = max(left, 0.0), max(top, 0.0), min(right, width), min(bottom, height)
    return (left, top, float(right), float(bottom)) if left < right and top < bottom else None
