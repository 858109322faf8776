"""Answers to held-out samples as cards: both images, true and predicted boxes, verdict, reasoning."""

import base64
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Protocol

from PIL import Image

from rl.data.grid import SIDE
from rl.data.images import open_image
from rl.data.questions import WITH_OPTIONS
from rl.evaluation.metrics import IOU_FOUND, outcome
from rl.types import DEFECTIVE, Box, Cell, Completion, Group, Prompt, Task

CARDS_A_SHELF = 6
PICTURE_PIXELS = 320
"""Longest side of an embedded picture; keeps a page at about a megabyte."""
JPEG_QUALITY = 84


class Reading(Protocol):
    """Fields read from a completion, as rewards.answers.parse.Answer has them."""

    @property
    def knowledge(self) -> str: ...
    @property
    def think(self) -> str: ...
    @property
    def verdict(self) -> str | None: ...
    @property
    def option(self) -> str | None: ...
    @property
    def cells(self) -> frozenset[Cell] | None: ...
    @property
    def boxes(self) -> tuple[Box, ...]: ...
    @property
    def labels(self) -> tuple[str, ...]: ...
    @property
    def malformed(self) -> tuple[str, ...]: ...


AnswerReader = Callable[[str, Task, tuple[int, int]], Reading]
"""Reader of a completion's text, given its task and the (width, height) that its boxes refer to."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """A sample's latest answer and, if there was an earlier evaluation, its first one."""

    after: Group
    before: Group | None


def shelves(before: Sequence[Group], after: Sequence[Group]) -> dict[str, list[Case]]:
    """Sort the cases by outcome, each into one shelf, and order the shelves as in SHELVES."""
    earlier = {group.prompt.sample.id: group for group in before}
    sorted_in: dict[str, list[Case]] = {name: [] for name in SHELVES}
    for group in after:
        case = Case(after=group, before=earlier.get(group.prompt.sample.id))
        sorted_in[_shelf(case)].append(case)
    return {name: _mixed(cases) for name, cases in sorted_in.items() if cases}


SHELVES = {
    "Learned": "Wrong in the first evaluation, right in the latest.",
    "Right place": f"Right, and the boxes overlap the true ones by at least {IOU_FOUND:g}.",
    "Right": "Right, without boxes to compare.",
    "Wrong place": f"Right, but the boxes overlap the true ones by less than {IOU_FOUND:g}.",
    "Out of form": "Right, but not written in the form that the task asks for.",
    "Wrong": "A missed defect, a false alarm, a wrong option, or an answer that could not be read.",
    "Unknown": "No reward component says whether these answers are right.",
}


def _shelf(case: Case) -> str:
    now = outcome(case.after)
    if not now.right:
        return "Wrong" if now.right is False else "Unknown"
    if not now.in_form:
        return "Out of form"
    if now.overlap is not None and now.overlap < IOU_FOUND:
        return "Wrong place"
    if case.before and outcome(case.before).right is False:
        return "Learned"
    return "Right" if now.overlap is None else "Right place"


def _mixed(cases: Sequence[Case]) -> list[Case]:
    """Take the categories in turn, defects first, so that the first cards show some of each."""
    seen: dict[tuple[str, bool], int] = {}
    ranked = []
    for case in cases:
        kind = (case.after.prompt.sample.category, case.after.prompt.target.label == DEFECTIVE)
        seen[kind] = seen.get(kind, 0) + 1
        ranked.append((seen[kind], kind, case))
    return [case for _, _, case in sorted(ranked, key=lambda item: (item[0], not item[1][1]))]


def draw_shelf(name: str, cases: Sequence[Case], read: AnswerReader) -> str:
    cards = "".join(draw_case(case, read) for case in cases[:CARDS_A_SHELF])
    return (
        f'<section class="shelf"><header><h3>{escape(name)} <small>{len(cases)}</small></h3>'
        f'<p>{escape(SHELVES[name])}</p></header><div class="cards">{cards}</div></section>'
    )


def draw_case(case: Case, read: AnswerReader) -> str:
    prompt, score = case.after.prompt, case.after.scores[0]
    task = prompt.sample.task
    answer = read(case.after.completions[0].text, task, prompt.image_size)
    right = outcome(case.after).right
    overlap = outcome(case.after).overlap
    said, truth = said_in_words(answer, task), true_in_words(prompt)
    chips = [
        {True: ("good", f"✓ {said}"), False: ("bad", f"✗ said {said}"), None: ("", f"said {said}")}[right],
        ("", "" if right or not truth else f"is {truth}"),
        ("", "" if overlap is None or not (right or task is Task.grounding) else f"IoU {overlap:.2f}"),
        ("", "" if score.total is None else f"reward {score.total:.2f}"),
    ]
    drawn = "".join(f'<span class="chip {kind}">{escape(text)}</span>' for kind, text in chips if text)
    return (
        f'<article class="card case"><div class="pictures">{_pictures(prompt, answer)}</div>'
        f'<div class="chips">{drawn}</div>'
        f"{_reasoning(case.after.completions[0], answer)}{_earlier(case, read)}"
        f'<footer title="{escape(prompt.sample.id)}">{escape(prompt.sample.id)}</footer></article>'
    )


def said_in_words(answer: Reading, task: Task) -> str:
    """Return the answer's option, number of boxes or verdict."""
    if task in WITH_OPTIONS:
        return answer.option or "no option"
    if task is Task.grounding:
        return f"{len(answer.boxes)} box" + ("" if len(answer.boxes) == 1 else "es")
    return answer.verdict or "no verdict"


def true_in_words(prompt: Prompt) -> str:
    """Return the true option or label; "" if the task asks only for boxes, which are drawn."""
    task, target = prompt.sample.task, prompt.target
    if task in WITH_OPTIONS:
        return target.option
    return "" if task is Task.grounding else target.label


def _reasoning(completion: Completion, answer: Reading) -> str:
    """Quote the model's text, escaped because it is hostile input, and list its faults of form."""
    faults = "".join(f"<li>{escape(fault)}</li>" for fault in answer.malformed)
    text = answer.think or completion.text
    knowledge = f"<b>{escape(answer.knowledge)}</b><br>" if answer.think and answer.knowledge else ""
    return f"<blockquote>{knowledge}{escape(text)}</blockquote>{f'<ul class=faults>{faults}</ul>' if faults else ''}"


def _earlier(case: Case, read: AnswerReader) -> str:
    if case.before is None:
        return ""
    prompt = case.before.prompt
    answer = read(case.before.completions[0].text, prompt.sample.task, prompt.image_size)
    overlap = outcome(case.before).overlap
    found = "" if overlap is None else f", IoU {overlap:.2f}"
    said = said_in_words(answer, prompt.sample.task)
    return (
        f"<details><summary>First evaluation: said {escape(said)}{found}</summary>"
        f"{_reasoning(case.before.completions[0], answer)}</details>"
    )


def _pictures(prompt: Prompt, answer: Reading) -> str:
    """Show the references, then the inspected image with boxes or cells drawn on it."""
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
    boxes += _cells("true", prompt.target.cells, prompt) + _cells("said", answer.cells, prompt)
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


def _cells(kind: str, cells: frozenset[Cell] | None, prompt: Prompt) -> str:
    """Draw cells as boxes if the task asks for cells of the grid."""
    if prompt.sample.task is not Task.grid or not cells:
        return ""
    width, height = (side / SIDE for side in prompt.image_size)
    places = [(column * width, row * height) for row, column in sorted(cells)]
    return _boxes(kind, [(x, y, x + width, y + height) for x, y in places], ["cell"] * len(places))


def data_uri(path: Path) -> str:
    """Shrink an image and return it as a data URI."""
    picture = open_image(path)
    picture.thumbnail((PICTURE_PIXELS, PICTURE_PIXELS))
    return embedded(picture)


def embedded(picture: Image.Image) -> str:
    """Encode a picture as a data URI."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=JPEG_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
