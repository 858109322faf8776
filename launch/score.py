"""`assay score`: score the completions in a file, to examine a reward before a training uses it."""

import io
import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path
from statistics import fmean
from typing import IO, Any, Literal

from conf.schema import ScoreConfig
from rewards.answers.parse import Answer
from rewards.compose import Composer, read
from rewards.config import OnError
from rewards.item import LARGEST, UNBOUNDED, Item, read_target
from rl.documents import cut_lines, json_of
from rl.faults import UserError, brief, one_line
from rl.types import Score, Task

BATCH = 256
"""Answers scored at once; a sentence encoder is faster with many."""
STANDARD = "-"


@dataclass(kw_only=True)
class Tally:
    """Scores of the lines read so far, and the number of bad lines."""

    scores: list[Score] = field(default_factory=list)
    num_bad: int = 0

    def summary(self) -> dict[str, Any]:
        totals = [score.total for score in self.scores if score.total is not None]
        names = self.scores[0].components if self.scores else {}
        judged = {name: [score.components[name] for score in self.scores] for name in names}
        means = {name: _mean([value for value in values if value is not None]) for name, values in judged.items()}
        return {
            "scored": len(self.scores),
            "bad_lines": self.num_bad,
            "unjudged": len(self.scores) - len(totals),
            "malformed": sum(bool(score.malformed) for score in self.scores),
            "faults": sum(bool(score.faults) for score in self.scores),
            "total": _mean(totals),
            "components": means,
        }


def main(config: ScoreConfig) -> int:
    """Write a line for each readable answer; return 1 if an answer could not be read or judged, else 0."""
    if isinstance(sys.stdin, io.TextIOWrapper):
        # As in a file, a byte that is no text makes its own line a bad one.
        sys.stdin.reconfigure(errors="surrogateescape")
    # Standard output is for scores.
    hear = partial(print, file=sys.stderr)
    composer = Composer(replace(config.reward, on_error=OnError.unjudged), hear=hear)
    tally = Tally()
    with _opened(config.input, "r", sys.stdin) as answers, _opened(config.output, "w", sys.stdout) as scores:
        items = _items(answers, config, tally)
        while batch := list(islice(items, BATCH)):
            read_answers = read(batch)
            judged = composer.score(batch, read_answers)
            for item, answer, score in zip(batch, read_answers, judged, strict=True):
                print(json.dumps(_line(item, answer, score)), file=scores)
                if config.explain:
                    print(explain(item, answer, score), file=sys.stderr)
            tally.scores += judged
    summary = tally.summary()
    print(json.dumps(summary), file=sys.stderr if config.output == STANDARD else sys.stdout)
    return int(any(summary[name] for name in ("bad_lines", "unjudged", "faults")))


def explain(item: Item, answer: Answer, score: Score) -> str:
    """Describe an answer in words: its total, each component, and the fields read from it."""
    lines = [f"{item.id}: total {_shown(score.total)}"]
    lines += [f"  {name:<14}{_shown(value)}" for name, value in score.components.items()]
    lines += [f"  read {name}: {value}" for name, value in _parse(answer).items() if value not in (None, "", [])]
    lines += [f"  malformed: {fault}" for fault in score.malformed]
    lines += [f"  unjudged: {reason}" for reason in score.unjudged]
    return "\n".join(lines)


def _items(lines: IO[str], config: ScoreConfig, tally: Tally) -> Iterator[Item]:
    """Yield the answers of the good lines; print the number and the fault of each bad line."""
    for number, line in enumerate(cut_lines(lines), start=1):
        if not line.strip():
            continue
        try:
            yield _item(line, config.task)
        except UserError as error:
            tally.num_bad += 1
            print(f"assay score: {config.input} line {number}: {one_line(error)}", file=sys.stderr)


def _item(line: str, task: Task) -> Item:
    fields = _object(line)
    missing = [name for name in ("id", "completion", "target") if name not in fields]
    if missing:
        raise UserError(f"the answer has no {' and no '.join(missing)}; docs/rewards.md shows such a line")
    if not isinstance(fields["completion"], str):
        raise UserError(f"completion must be text; got {brief(repr(fields['completion']))}")
    return Item(
        id=str(fields["id"]),
        text=fields["completion"],
        task=_task(fields.get("task"), task),
        target=read_target(fields["target"]),
        image_size=_size(fields.get("image_size")),
        question=str(fields.get("question", "")),
        num_tokens=_num_tokens(fields.get("num_tokens")),
        agreement=_agreement(fields.get("agreement")),
    )


def _object(line: str) -> Mapping[str, Any]:
    loaded = json_of(line, "the line")
    if not isinstance(loaded, dict):
        raise UserError("the line is not a JSON object")
    return loaded


def _task(value: Any, otherwise: Task) -> Task:
    if value is None:
        return otherwise
    if not isinstance(value, str) or value not in Task.__members__:
        raise UserError(f"task {brief(repr(value))} is not one of {', '.join(Task.__members__)}")
    return Task[value]


def _size(value: Any) -> tuple[int, int]:
    if value is None:
        return UNBOUNDED
    if not (isinstance(value, list) and len(value) == 2 and all(type(n) is int and 0 < n <= LARGEST for n in value)):
        raise UserError(f"image_size must be [width, height] in pixels; got {brief(repr(value))}")
    return value[0], value[1]


def _num_tokens(value: Any) -> int | None:
    if value is not None and (type(value) is not int or value < 0):
        raise UserError(f"num_tokens must be a whole number of tokens; got {brief(repr(value))}")
    return value


def _agreement(value: Any) -> float | None:
    if value is None:
        return None
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 1:
        raise UserError(f"agreement must be a number in [0, 1]; got {brief(repr(value))}")
    return float(value)


def _line(item: Item, answer: Answer, score: Score) -> dict[str, Any]:
    return {
        "id": item.id,
        "total": score.total,
        "components": score.components,
        "parse": _parse(answer),
        "malformed": score.malformed,
        **({"unjudged": score.unjudged} if score.unjudged else {}),
    }


def _parse(answer: Answer) -> dict[str, Any]:
    return {
        "think": answer.think,
        "knowledge": answer.knowledge,
        "verdict": answer.verdict,
        "option": answer.option,
        "boxes": answer.boxes,
        "labels": answer.labels,
        "cells": None if answer.cells is None else sorted(answer.cells),
    }


def _opened(path: str, mode: Literal["r", "w"], standard: IO[str]) -> AbstractContextManager[IO[str]]:
    if path == STANDARD:
        return nullcontext(standard)
    if mode == "w":
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    # A byte that is no text makes its own line a bad one.
    return Path(path).open(mode, encoding="utf-8", errors="surrogateescape" if mode == "r" else "strict")


def _mean(values: list[float]) -> float | None:
    return fmean(values) if values else None


def _shown(value: float | None) -> str:
    return "unjudged" if value is None else f"{value:g}"
