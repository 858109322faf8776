"""Held-out answers on disk, one JSON line each."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rewards.item import read_target, target_fields
from rl.faults import of_file
from rl.types import Completion, Group, Prompt, Sample, Score

BENCHMARK = "heldout"
"""Name of the held-out samples of a run in file names and metrics."""


def answers_file(run: Path, benchmark: str, step: int) -> Path:
    return run / "samples" / f"{benchmark}_step_{step}.jsonl"


def write_answers(path: Path, groups: Sequence[Group]) -> None:
    """Write a line an answer: sample, completion, truth and score, and its J if the policy's looks were measured."""
    path.parent.mkdir(exist_ok=True)
    with of_file(path), path.open("w", encoding="utf-8") as file:
        for group in groups:
            looks = group.looks or (None,) * len(group.completions)
            for completion, score, look in zip(group.completions, group.scores, looks, strict=True):
                answer: dict[str, Any] = {
                    "id": group.prompt.sample.id,
                    "completion": completion.text,
                    "task": group.prompt.sample.task.name,
                    "target": target_fields(group.prompt.target),
                    "image_size": group.prompt.image_size,
                    "total": score.total,
                    "components": score.components,
                    "malformed": score.malformed,
                }
                if look:
                    answer["agreement"] = look.agreement
                file.write(json.dumps(answer) + "\n")


def read_answers(path: Path, samples: Iterable[Sample]) -> list[Group]:
    """Read the groups back as reports need them, without tokens and pixels; [] if other samples were asked."""
    known = {sample.id: sample for sample in samples}
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    if {line["id"] for line in lines} != known.keys():
        return []
    return [_group(line, known[line["id"]]) for line in lines]


def asked_ids(path: Path) -> frozenset[str]:
    """Return the ids of the samples whose answers are in the file."""
    return frozenset(json.loads(line)["id"] for line in path.read_text(encoding="utf-8").splitlines())


def _group(line: dict, sample: Sample) -> Group:
    prompt = Prompt(
        sample=sample,
        token_ids=(),
        pixels=None,
        image_spans=(),
        image_size=tuple(line["image_size"]),
        target=read_target(line["target"]),
    )
    completion = Completion(token_ids=(), text=line["completion"], logprobs=(), finish_reason="stop", policy_version=0)
    score = Score(total=line["total"], components=line["components"], malformed=tuple(line["malformed"]))
    return Group(prompt=prompt, completions=(completion,), scores=(score,))
