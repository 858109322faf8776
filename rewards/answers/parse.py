"""Parser of a model's answers. They are hostile input, so the grammar is bounded and nothing is evaluated."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rewards.answers.boxes import read_boxes, read_json_boxes
from rewards.answers.cells import read_cells
from rewards.answers.choice import read_option, read_verdict
from rewards.answers.spans import Span, first_span, is_tagged, read_spans, with_knowledge
from rl.types import DEFECTIVE, NORMAL, Box, Cell, Task

MAX_CHARACTERS = 50_000
"""Maximum number of characters read of an answer."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The readable parts of a completion."""

    think: str = ""
    """Reasoning between the think tags; "" if there is none."""
    answer: str = ""
    """Text between the answer tags, unchanged."""
    knowledge: str = ""
    """Text between the knowledge tags; "" if there is none."""
    tagged: bool = False
    """True if the text has `<think>…</think><answer>…</answer>`, with any text before, inside and after."""
    verdict: str | None = None
    """"normal" or "defective"; None if the answer says neither or the task asks for neither."""
    option: str | None = None
    """Letter of the chosen option, a capital; None if the answer gives none or the task offers none."""
    boxes: tuple[Box, ...] = ()
    """Well-formed boxes [x1, y1, x2, y2] in pixels of the image as the model sees it, cut to that image."""
    labels: tuple[str, ...] = ()
    """Label of each box; "" for a box without one."""
    cells: frozenset[Cell] | None = None
    """The (row, column) cells that are called defective; None if they are malformed or not asked for."""
    malformed: tuple[str, ...] = ()
    """A sentence for each departure from the form of the task, with its place; () for an answer in form."""


def parse_answer(text: str, task: Task, image_size: tuple[int, int]) -> Answer:
    """Parse a completion by the form of its task (see Task), in time linear in its length; never raise.

    Tagged knowledge may stand anywhere before the answer. In Task.boxes it is a fault; in Task.routed it must come
    first and must not be empty.

    >>> text = "<think>A line.</think><answer>Yes. {'bbox_2d': [9, 2, 3, 4], 'label': 'scratch'}</answer>"
    >>> answer = parse_answer(text, Task.boxes, (10, 10))
    >>> answer.verdict, answer.boxes, answer.labels, answer.malformed
    ('defective', ((3.0, 2.0, 9.0, 4.0),), ('scratch',), ())
    >>> answer = parse_answer("<seg>(3,7)-(3,8)</seg><think>Bent.</think><answer>B", Task.grid, (10, 10))
    >>> answer.option, sorted(answer.cells), answer.malformed
    ('B', [(3, 7), (3, 8)], ('</answer> occurs 0 times instead of once',))
    """
    faults: list[str] = []
    if len(text) > MAX_CHARACTERS:
        faults.append(f"the text has {len(text)} characters; only the first {MAX_CHARACTERS} were read")
        text = text[:MAX_CHARACTERS]
    tagged_from = len(faults)
    spans = read_tagged(text, task, faults)
    return Answer(
        think=spans["think"].text.strip(),
        answer=spans["answer"].text,
        knowledge=first_span(text, "knowledge").text.strip(),
        tagged=len(faults) == tagged_from or is_tagged(text),
        **READERS[task](spans, image_size, faults),
        malformed=tuple(faults),
    )


def read_tagged(text: str, task: Task, faults: list[str]) -> dict[str, Span]:
    """Return the span between each pair of the task's tags, by the name of the tag."""
    text = text[:MAX_CHARACTERS]
    names = NAMES.get(task, ("think", "answer"))
    is_fixed = task in (Task.boxes, Task.routed)
    return read_spans(text, names if is_fixed else with_knowledge(text, names), faults)


def _read_yes_no(spans: dict[str, Span], image_size: tuple[int, int], faults: list[str]) -> dict[str, Any]:
    return {"verdict": read_verdict(spans["answer"], faults)}


def _read_boxes(spans: dict[str, Span], image_size: tuple[int, int], faults: list[str]) -> dict[str, Any]:
    span = spans["answer"]
    verdict = read_verdict(span, faults)
    boxes, labels = read_boxes(span, image_size, faults)
    if verdict == DEFECTIVE and not boxes:
        faults.append(f"the answer says Yes and gives no well-formed box at character {span.start}")
    if verdict == NORMAL and boxes:
        faults.append(f"the answer says No and yet gives boxes at character {span.start}")
    return {"verdict": verdict, "boxes": boxes, "labels": labels}


def _read_choice(spans: dict[str, Span], image_size: tuple[int, int], faults: list[str]) -> dict[str, Any]:
    return {"option": read_option(spans["answer"], faults)}


def _read_routed(spans: dict[str, Span], image_size: tuple[int, int], faults: list[str]) -> dict[str, Any]:
    start, said, is_closed = spans["knowledge"]
    if is_closed and not said.strip():
        faults.append(f"no knowledge is chosen at character {start}")
    return {"option": read_option(spans["answer"], faults)}


def _read_grid(spans: dict[str, Span], image_size: tuple[int, int], faults: list[str]) -> dict[str, Any]:
    return {"cells": read_cells(spans["seg"], faults), "option": read_option(spans["answer"], faults)}


def _read_grounding(spans: dict[str, Span], image_size: tuple[int, int], faults: list[str]) -> dict[str, Any]:
    boxes, labels = read_json_boxes(spans["answer"], image_size, faults)
    return {"boxes": boxes, "labels": labels}


NAMES = {Task.grid: ("seg", "think", "answer"), Task.routed: ("knowledge", "think", "answer")}
"""Tags of a task's form, in order, for tasks that have more than think and answer."""
READERS: dict[Task, Callable[[dict[str, Span], tuple[int, int], list[str]], dict[str, Any]]] = {
    Task.yes_no: _read_yes_no,
    Task.boxes: _read_boxes,
    Task.choice: _read_choice,
    Task.routed: _read_routed,
    Task.grid: _read_grid,
    Task.grounding: _read_grounding,
}
