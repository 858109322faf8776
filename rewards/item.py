"""The item that a reward judges: one answer with the truth of its sample, from a run or from a line of a file."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from rl.faults import UserError, brief
from rl.types import DEFECTIVE, NORMAL, Group, Sample, Target, Task

UNBOUNDED = (10**7, 10**7)
"""Stand-in for an unknown image size, so large that no box is cut."""
LARGEST = 1e9
"""Largest absolute value of a number in a target."""
LABELS = (NORMAL, DEFECTIVE)
FIELDS = tuple(item.name for item in fields(Target) if item.name != "mask")
"""Fields of a target in files and for users' functions."""


@dataclass(frozen=True, kw_only=True)
class Item:
    """An answer and the truth to judge it by."""

    id: str
    """Id of the sample."""
    text: str
    """Text of the completion."""
    task: Task
    target: Target
    """Boxes in pixels of the image as the model saw it."""
    image_size: tuple[int, int] = UNBOUNDED
    """(width, height) of the image as the model saw it."""
    question: str = ""
    num_tokens: int | None = None
    """Length of the completion; None if unknown."""
    agreement: float | None = None
    """J of the completion's attention, in [0, 1]; None if it was not recorded."""


def items_of(group: Group) -> list[Item]:
    """Return an item for each completion of a group."""
    prompt, looks = group.prompt, group.looks
    return [
        Item(
            id=prompt.sample.id,
            text=completion.text,
            task=prompt.sample.task,
            target=prompt.target,
            image_size=prompt.image_size,
            question=prompt.sample.question,
            num_tokens=len(completion.token_ids),
            agreement=looks[index].agreement if looks else None,
        )
        for index, completion in enumerate(group.completions)
    ]


def item_of(sample: Sample) -> Item:
    """Return an item with an empty answer to a sample, to check which components can judge the sample."""
    return Item(
        id=sample.id,
        text="",
        task=sample.task,
        target=sample.target,
        question=sample.question,
        num_tokens=0,
        agreement=0.0,
    )


def target_fields(target: Target) -> dict[str, Any]:
    """Return the known fields of a target, except its mask, as JSON values for files and users' functions."""
    known = {name: getattr(target, name) for name in FIELDS}
    return {name: _plain(value) for name, value in known.items() if value not in ("", (), None, {})}


def read_target(values: Mapping[str, Any]) -> Target:
    """Return a target from any subset of the fields that `target_fields` returns; a field may be null."""
    if not isinstance(values, Mapping):
        raise UserError(f'target must be an object such as {{"label": "normal"}}; got {brief(repr(values))}')
    unknown = [name for name, value in values.items() if name not in FIELDS and value is not None]
    if unknown:
        raise UserError(f"target has no field '{brief(unknown[0])}'; its fields are {', '.join(FIELDS)}")
    label = values.get("label")
    if label not in (None, "", *LABELS):
        raise UserError(f'target.label must be "normal" or "defective"; got {brief(repr(label))}')
    cells = values.get("cells")
    boxes = tuple(_box(box) for box in _list(values, "boxes"))
    return Target(
        label=label or "",
        kind=_text(values, "kind"),
        boxes=boxes,
        box_labels=tuple(str(name) for name in _list(values, "box_labels")),
        rationale=_text(values, "rationale"),
        option=_text(values, "option"),
        options=_options(values.get("options") or {}),
        cells=None if cells is None else frozenset(_cell(cell) for cell in _list(values, "cells")),
        knowledge=_text(values, "knowledge"),
        offered=tuple(str(name) for name in _list(values, "offered")),
    )


def _options(value: Any) -> dict[str, str]:
    """Return the options by letter, without null ones, which a table has for letters that this sample lacks."""
    if not isinstance(value, Mapping):
        raise UserError(f'target.options must be an object such as {{"A": "a scratch"}}; got {brief(repr(value))}')
    return {str(letter): str(text) for letter, text in value.items() if text is not None}


def _plain(value: Any) -> Any:
    if isinstance(value, frozenset):
        return sorted([list(cell) for cell in value])
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, tuple):
        return [list(part) if isinstance(part, tuple) else part for part in value]
    return value


def _list(values: Mapping[str, Any], name: str) -> list[Any]:
    value = values.get(name)
    if value is None:
        return []
    if not isinstance(value, list | tuple):
        raise UserError(f"target.{name} must be a list; got {brief(repr(value))}")
    return list(value)


def _text(values: Mapping[str, Any], name: str) -> str:
    value = values.get(name)
    if value is not None and not isinstance(value, str):
        raise UserError(f"target.{name} must be text; got {brief(repr(value))}")
    return value or ""


def _box(value: Any) -> tuple[float, float, float, float]:
    numbers = _numbers(value, 4)
    if numbers is None or not (numbers[0] < numbers[2] and numbers[1] < numbers[3]):
        raise UserError(f"target.boxes: {brief(repr(value))} is not [x1, y1, x2, y2] with x1 < x2 and y1 < y2")
    return numbers[0], numbers[1], numbers[2], numbers[3]


def _cell(value: Any) -> tuple[int, int]:
    numbers = _numbers(value, 2)
    if numbers is None or not all(number in range(16) for number in numbers):
        raise UserError(f"target.cells: {brief(repr(value))} is not [row, column] of the 16x16 grid, from 0")
    return int(numbers[0]), int(numbers[1])


def _numbers(value: Any, count: int) -> list[float] | None:
    if not isinstance(value, list | tuple) or len(value) != count:
        return None
    good = all(isinstance(part, int | float) and not isinstance(part, bool) and abs(part) <= LARGEST for part in value)
    return [float(part) for part in value] if good else None
