"""`assay score`: completions of a file scored offline, to look into a reward before GPUs are spent on it."""

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from statistics import fmean
from typing import IO, Any, Literal

from conf.schema import ScoreConfig
from rewards.answers.parse import Answer
from rewards.compose import Composer, read
from rewards.config import OnError
from rewards.item import UNBOUNDED, Item, read_target
from rl.faults import UserError
from rl.types import Score, Task

BATCH = 256
"""Answers scored at once: a sentence encoder wants many."""
STANDARD = "-"


@dataclass(kw_only=True)
class Tally:
    """What became of the lines."""

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
            "faults": sum(any(" raised " in reason for reason in score.unjudged) for score in self.scores),
            "total": _mean(totals),
            "components": means,
        }


def main(config: ScoreConfig) -> int:
    """Writes a line for each answer that could be read; 1 when there was one that could not be, or not be judged."""
    composer = Composer(replace(config.reward, on_error=OnError.unjudged))
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
    """One answer in words: what was read of it, and what each component gave."""
    told = [f"{item.id}: total {_shown(score.total)}"]
    told += [f"  {name:<14}{_shown(value)}" for name, value in score.components.items()]
    told += [f"  read {name}: {value}" for name, value in _parse(answer).items() if value not in (None, "", [])]
    told += [f"  malformed: {fault}" for fault in score.malformed]
    told += [f"  unjudged: {reason}" for reason in score.unjudged]
    return "\n".join(told)


def _items(lines: IO[str], config: ScoreConfig, tally: Tally) -> Iterator[Item]:
    """The answers of the good lines; a bad one is told with its number."""
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            yield _item(line, config.task)
        except UserError as error:
            tally.num_bad += 1
            print(f"assay score: {config.input} line {number}: {error}", file=sys.stderr)


def _item(line: str, task: Task) -> Item:
    told = _object(line)
    missing = [name for name in ("id", "completion", "target") if name not in told]
    if missing:
        raise UserError(f"the answer has no {' and no '.join(missing)}")
    if not isinstance(told["completion"], str):
        raise UserError(f"completion must be text; got {told['completion']!r:.60}")
    return Item(
        id=str(told["id"]),
        text=told["completion"],
        task=_task(told.get("task"), task),
        target=read_target(told["target"]),
        image_size=_size(told.get("image_size")),
        question=str(told.get("question", "")),
        num_tokens=told.get("num_tokens"),
        agreement=_agreement(told.get("agreement")),
    )


def _object(line: str) -> Mapping[str, Any]:
    if not line.isascii() and any("\ud800" <= letter <= "\udfff" for letter in line):
        raise UserError("holds bytes that are no UTF-8")
    try:
        told = json.loads(line)
    except (json.JSONDecodeError, RecursionError) as error:
        raise UserError(f"is not JSON ({error})") from error
    if not isinstance(told, dict):
        raise UserError("is not a JSON object")
    return told


def _task(told: Any, otherwise: Task) -> Task:
    if told is None:
        return otherwise
    if not isinstance(told, str) or told not in Task.__members__:
        raise UserError(f"task {told!r} is not one of {', '.join(Task.__members__)}")
    return Task[told]


def _size(told: Any) -> tuple[int, int]:
    if told is None:
        return UNBOUNDED
    if not (isinstance(told, list) and len(told) == 2 and all(isinstance(n, int) and n > 0 for n in told)):
        raise UserError(f"image_size must be [width, height] in pixels; got {told!r}")
    return told[0], told[1]


def _agreement(told: Any) -> float | None:
    if told is None:
        return None
    if not isinstance(told, int | float) or isinstance(told, bool) or not 0 <= told <= 1:
        raise UserError(f"agreement must be a number in [0, 1]; got {told!r}")
    return float(told)


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
