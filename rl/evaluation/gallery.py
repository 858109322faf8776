"""Answers to held-out samples as cards: both images, true and predicted boxes, verdict, reasoning."""

import base64
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Protocol

from PIL import Image

from rl.evaluation.metrics import IOU_FOUND, outcome
from rl.types import Box, Completion, Group, Prompt

CARDS_A_SHELF = 6
PICTURE_PIXELS = 320
"""Longest side of an embedded picture; a page of them stays about a megabyte."""
JPEG_QUALITY = 84


class Reading(Protocol):
    """What was read from a completion; rewards.parse.Answer is one."""

    @property
    def think(self) -> str: ...
    @property
    def verdict(self) -> str | None: ...
    @property
    def boxes(self) -> tuple[Box, ...]: ...
    @property
    def labels(self) -> tuple[str, ...]: ...
    @property
    def malformed(self) -> tuple[str, ...]: ...


Reader = Callable[[str, tuple[int, int]], Reading]
"""Reads a completion's text, given the (width, height) its boxes refer to."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """A sample with its answer after training and, if it was asked before, the one then."""

    after: Group
    before: Group | None


def shelves(before: Sequence[Group], after: Sequence[Group]) -> dict[str, list[Case]]:
    """The cases sorted by what became of them; each in one place, the most telling first."""
    earlier = {group.prompt.sample.id: group for group in before}
    sorted_in: dict[str, list[Case]] = {name: [] for name in SHELVES}
    for group in after:
        case = Case(after=group, before=earlier.get(group.prompt.sample.id))
        sorted_in[_shelf(case)].append(case)
    return {name: _mixed(cases) for name, cases in sorted_in.items() if cases}


SHELVES = {
    "Learned": "Wrong verdict before training, the right one after it.",
    "Right place": f"Defect reported, boxes overlap the true ones by at least {IOU_FOUND:g}.",
    "Right": "Normal parts called normal.",
    "Wrong place": f"Defect reported, but the boxes overlap the true ones by less than {IOU_FOUND:g}.",
    "Wrong": "A missed defect, a false alarm, or an answer that could not be read.",
}


def _shelf(case: Case) -> str:
    now = outcome(case.after)
    if not now.right:
        return "Wrong"
    if now.overlap is not None and now.overlap < IOU_FOUND:
        return "Wrong place"
    if case.before and not outcome(case.before).right:
        return "Learned"
    return "Right" if now.overlap is None else "Right place"


def _mixed(cases: Sequence[Case]) -> list[Case]:
    """Categories in turn, defects first, so that the first cards show some of all."""
    seen: dict[tuple[str, bool], int] = {}
    ranked = []
    for case in cases:
        kind = (case.after.prompt.sample.category, case.after.prompt.target.label == "defective")
        seen[kind] = seen.get(kind, 0) + 1
        ranked.append((seen[kind], kind, case))
    return [case for _, _, case in sorted(ranked, key=lambda item: (item[0], not item[1][1]))]


def draw_shelf(name: str, cases: Sequence[Case], read: Reader) -> str:
    cards = "".join(draw_case(case, read) for case in cases[:CARDS_A_SHELF])
    return (
        f'<section class="shelf"><header><h3>{escape(name)} <small>{len(cases)}</small></h3>'
        f'<p>{escape(SHELVES[name])}</p></header><div class="cards">{cards}</div></section>'
    )


def draw_case(case: Case, read: Reader) -> str:
    prompt, score = case.after.prompt, case.after.scores[0]
    answer = read(case.after.completions[0].text, prompt.image_size)
    right = outcome(case.after).right
    overlap = outcome(case.after).overlap
    chips = [
        ("good", f"✓ {answer.verdict}") if right else ("bad", f"✗ said {answer.verdict or 'neither'}"),
        ("", "" if right else f"is {prompt.target.label}"),
        ("", "" if overlap is None or not right else f"IoU {overlap:.2f}"),
        ("", "" if score.total is None else f"reward {score.total:.2f}"),
    ]
    drawn = "".join(f'<span class="chip {kind}">{escape(text)}</span>' for kind, text in chips if text)
    return (
        f'<article class="card case"><div class="pictures">{_pictures(prompt, answer)}</div>'
        f'<div class="chips">{drawn}</div>'
        f"{_reasoning(case.after.completions[0], answer)}{_earlier(case, read)}"
        f'<footer title="{escape(prompt.sample.id)}">{escape(prompt.sample.id)}</footer></article>'
    )


def _reasoning(completion: Completion, answer: Reading) -> str:
    """The model's own words, escaped: they are hostile input."""
    faults = "".join(f"<li>{escape(fault)}</li>" for fault in answer.malformed)
    text = answer.think or completion.text
    return f"<blockquote>{escape(text)}</blockquote>{f'<ul class=faults>{faults}</ul>' if faults else ''}"


def _earlier(case: Case, read: Reader) -> str:
    if case.before is None:
        return ""
    prompt = case.before.prompt
    answer = read(case.before.completions[0].text, prompt.image_size)
    overlap = outcome(case.before).overlap
    found = "" if overlap is None else f", IoU {overlap:.2f}"
    return (
        f"<details><summary>Before training: said {escape(answer.verdict or 'neither')}{found}</summary>"
        f"{_reasoning(case.before.completions[0], answer)}</details>"
    )


def _pictures(prompt: Prompt, answer: Reading) -> str:
    """References plain, the inspected image with its boxes on top."""
    *references, inspected = prompt.sample.images or (None,)
    if inspected is None:
        return ""
    plain = "".join(
        f'<figure><div class="frame"><img src="{data_uri(path)}" alt="reference"></div>'
        f"<figcaption>reference</figcaption></figure>"
        for path in references
    )
    labels = prompt.target.box_labels or ("defect",) * len(prompt.target.boxes)
    boxes = _boxes("true", prompt.target.boxes, labels) + _boxes("said", answer.boxes, answer.labels)
    width, height = prompt.image_size
    return (
        f'{plain}<figure><div class="frame"><img src="{data_uri(inspected)}" alt="inspected image">'
        f'<svg viewBox="0 0 {width} {height}" preserveAspectRatio="none">{boxes}</svg></div>'
        f"<figcaption>inspected</figcaption></figure>"
    )


def _boxes(kind: str, boxes: Sequence[Box], labels: Sequence[str]) -> str:
    return "".join(
        f'<rect class="{kind}" x="{x1:g}" y="{y1:g}" width="{x2 - x1:g}" height="{y2 - y1:g}">'
        f"<title>{kind}: {escape(label)}</title></rect>"
        for (x1, y1, x2, y2), label in zip(boxes, labels, strict=True)
    )


def data_uri(path: Path) -> str:
    """The image, small, inside the page."""
    with Image.open(path) as opened:
        picture = opened.convert("RGB")
    picture.thumbnail((PICTURE_PIXELS, PICTURE_PIXELS))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=JPEG_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
