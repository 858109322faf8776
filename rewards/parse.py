"""Reads an answer of the MMR-AD form; model output is hostile input, so the grammar is bounded and never evaluates."""

import re
from dataclasses import dataclass

from rl.types import Box

MAX_CHARACTERS = 50_000
"""Longer answers are read up to here."""
MAX_BOXES = 64
"""Boxes beyond this many are not read."""
MAX_BOX_CHARACTERS = 400
EXCERPT_CHARACTERS = 60

TAGS = ("<think>", "</think>", "<answer>", "</answer>")
VERDICTS = {"yes": "defective", "no": "normal"}
VERDICT = re.compile(r"\W*+(yes|no)\b", re.IGNORECASE)
QUOTED = r"""(?:"(?P<double_{0}>[^"{{}}]*+)"|'(?P<single_{0}>(?:[^'{{}}]|'(?=\w))*+)')"""
BOX = re.compile(
    r"""\s*+["']bbox_2d["']\s*+:\s*+\[(?P<numbers>[^\[\]]*+)\]\s*+"""
    r"""(?:,\s*+["']label["']\s*+:\s*+""" + QUOTED.format("label") + r"""\s*+)?,?+\s*+"""
)
NUMBER = re.compile(r"\s*+([-+]?[0-9]{1,7}(?:\.[0-9]{0,9})?)\s*+")


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a completion says, as far as it could be read."""

    think: str
    """The reasoning between the think tags; "" when there is none."""
    verdict: str | None
    """"normal" or "defective"; None when the answer says neither."""
    boxes: tuple[Box, ...]
    """Well-formed boxes [x1, y1, x2, y2] in pixels of the image as the model sees it, cut to that image."""
    labels: tuple[str, ...]
    """Defect type of each box; "" where none was given."""
    malformed: tuple[str, ...]
    """What departs from the form, in words; () for an answer in form."""


def parse_answer(text: str, image_size: tuple[int, int]) -> Answer:
    """Reads `<think>…</think><answer>Yes. {'bbox_2d': [x1, y1, x2, y2], 'label': '…'}, …</answer>`; never raises.

    >>> text = "<think>A line.</think><answer>Yes. {'bbox_2d': [9, 2, 3, 4], 'label': 'scratch'}</answer>"
    >>> answer = parse_answer(text, (10, 10))
    >>> answer.verdict, answer.boxes, answer.labels, answer.malformed
    ('defective', ((3.0, 2.0, 9.0, 4.0),), ('scratch',), ())
    """
    malformed: list[str] = []
    if len(text) > MAX_CHARACTERS:
        malformed.append(f"the text has {len(text)} characters; only the first {MAX_CHARACTERS} were read")
        text = text[:MAX_CHARACTERS]
    malformed += _tag_faults(text)
    start, answer_text = _last_span(text, "<answer>", "</answer>")
    verdict = _verdict(answer_text, malformed)
    boxes, labels = _boxes(answer_text, start, image_size, malformed)
    if verdict == "defective" and not boxes:
        malformed.append("the answer says Yes and gives no well-formed box")
    if verdict == "normal" and boxes:
        malformed.append("the answer says No and yet gives boxes")
    think = _first_span(text, "<think>", "</think>")
    return Answer(think=think, verdict=verdict, boxes=boxes, labels=labels, malformed=tuple(malformed))


def _tag_faults(text: str) -> list[str]:
    """Each tag must occur once, in order, with nothing but blanks outside them."""
    faults = [f"{tag} occurs {text.count(tag)} times instead of once" for tag in TAGS if text.count(tag) != 1]
    if faults:
        return faults
    places = [text.find(tag) for tag in TAGS]
    if places != sorted(places):
        return [f"the tags are not in the order {' '.join(TAGS)}"]
    outside = {
        "before <think>": text[: places[0]],
        "between </think> and <answer>": text[places[1] + len("</think>") : places[2]],
        "after </answer>": text[places[3] + len("</answer>") :],
    }
    return [f"text {where}: {_excerpt(stray)}" for where, stray in outside.items() if stray.strip()]


def _last_span(text: str, opening: str, closing: str) -> tuple[int, str]:
    """(offset, text) between the last `opening` and the next `closing`, or the end of a cut-off text."""
    found = text.rfind(opening)
    if found < 0:
        return len(text), ""
    start = found + len(opening)
    end = text.find(closing, start)
    return start, text[start:] if end < 0 else text[start:end]


def _first_span(text: str, opening: str, closing: str) -> str:
    _, found, rest = text.partition(opening)
    return rest.partition(closing)[0].strip() if found else ""


def _verdict(answer_text: str, malformed: list[str]) -> str | None:
    match = VERDICT.match(answer_text)
    if match:
        return VERDICTS[match[1].lower()]
    malformed.append(f"the answer begins with neither Yes nor No: {_excerpt(answer_text)}")
    return None


def _boxes(
    answer_text: str, offset: int, image_size: tuple[int, int], malformed: list[str]
) -> tuple[tuple[Box, ...], tuple[str, ...]]:
    """The well-formed boxes and their labels; prose around the braces is skipped."""
    boxes: list[Box] = []
    labels: list[str] = []
    opening = answer_text.find("{")
    for number in range(1, MAX_BOXES + 1):
        if opening < 0:
            return tuple(boxes), tuple(labels)
        closing = answer_text.find("}", opening, opening + MAX_BOX_CHARACTERS)
        body = answer_text[opening + 1 : closing] if closing >= 0 else None
        box, label, fault = _read_box(body, image_size)
        if box:
            boxes.append(box)
            labels.append(label)
        if fault:
            where = f"box {number} at character {offset + opening}"
            malformed.append(f"{where} {fault}: {_excerpt(answer_text[opening:])}")
        opening = answer_text.find("{", closing if closing >= 0 else opening + 1)
    if opening >= 0:
        malformed.append(f"more than {MAX_BOXES} boxes; the rest were not read")
    return tuple(boxes), tuple(labels)


def _read_box(body: str | None, image_size: tuple[int, int]) -> tuple[Box | None, str, str]:
    """(box, label, fault): a box without a label is kept and reported."""
    if body is None:
        return None, "", "is not closed"
    match = BOX.fullmatch(body)
    if not match:
        return None, "", "is not {'bbox_2d': [x1, y1, x2, y2], 'label': '…'}"
    corners = [NUMBER.fullmatch(part) for part in match["numbers"].split(",")]
    values = [float(corner[1]) for corner in corners if corner]
    if len(corners) != 4 or len(values) != 4:
        return None, "", "has other than four numbers"
    box = _inside(values, image_size)
    if box is None:
        return None, "", f"covers nothing of the {image_size[0]}×{image_size[1]} image"
    label = match["double_label"] or match["single_label"]
    return box, label or "", "" if label else "has no label"


def _inside(values: list[float], image_size: tuple[int, int]) -> Box | None:
    """The box with its corners put in order and cut to the image; None when no area is left."""
    (left, right), (top, bottom) = sorted(values[0::2]), sorted(values[1::2])
    width, height = image_size
    left, top, right, bottom = max(left, 0.0), max(top, 0.0), min(right, width), min(bottom, height)
    return (left, top, float(right), float(bottom)) if left < right and top < bottom else None


def _excerpt(text: str) -> str:
    """The beginning of a text, on one line and printable, to show in a message."""
    return ascii(text[:EXCERPT_CHARACTERS]) + ("…" if len(text) > EXCERPT_CHARACTERS else "")
