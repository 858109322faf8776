"""What is taught: of a sample the better answer and, for preferences, a worse one; from a file, or the right one."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from rl.data.prompts import answer_text
from rl.types import Completion, Group, Origin, Prompt, Sample

KNOWLEDGE_END = "</knowledge>"


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """The texts of one sample."""

    chosen: str
    rejected: str = ""
    """"" where there is no worse answer."""


class Encoder(Protocol):
    def encode_answer(self, text: str) -> tuple[int, ...]:
        """The tokens of an answer, the end of the turn included."""

    def pieces(self, token_ids: Sequence[int]) -> list[str]:
        """The text that each token adds."""


def read_lessons(path: Path, *, with_rejected: bool) -> dict[str, Lesson]:
    """The lessons of a file of JSON lines {"id", "chosen", "rejected"} by the id of their sample; other fields pass."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(
            f"data.lessons={path}: no readable file of lessons ({error}); `assay pairs` writes one"
        ) from error
    lessons: dict[str, Lesson] = {}
    for number, line in enumerate(lines, start=1):
        told = _parsed(line, f"{path}:{number}")
        wanted = ("id", "chosen", "rejected") if with_rejected else ("id", "chosen")
        lacking = [name for name in wanted if not (isinstance(told.get(name), str) and told[name])]
        if lacking:
            raise ValueError(f"{path}:{number}: no text '{lacking[0]}'; a lesson here needs {', '.join(wanted)}")
        if told["id"] in lessons:
            raise ValueError(f"{path}:{number}: a second lesson of sample {told['id']}; leave one out")
        lessons[told["id"]] = Lesson(chosen=told["chosen"], rejected=told["rejected"] if with_rejected else "")
    if not lessons:
        raise ValueError(f"{path}: the file holds no lesson; `assay pairs` writes one a sample")
    return lessons


def with_lessons(
    training: Sequence[Sample], heldout: Sequence[Sample], lessons: Mapping[str, Lesson], path: Path
) -> list[Sample]:
    """The training samples that have a lesson; a ValueError names a lesson of another sample."""
    known, kept_apart = {sample.id for sample in training}, {sample.id for sample in heldout}
    for sample_id in lessons:
        if sample_id in kept_apart:
            raise ValueError(f"{path}: sample {sample_id} is held out for evaluation; make lessons of training samples")
        if sample_id not in known:
            raise ValueError(f"{path}: sample {sample_id} is none of data.root; give the data that its lessons are of")
    return [sample for sample in training if sample.id in lessons]


def own_lesson(sample: Sample) -> Lesson:
    """Its right answer."""
    try:
        return Lesson(chosen=answer_text(sample.target, sample.task))
    except ValueError as error:
        raise ValueError(f"sample {sample.id}: its right answer cannot be made ({error})") from error


def lesson_group(prompt: Prompt, lesson: Lesson | None, encoder: Encoder) -> Group:
    """The prompt with what is taught: its lesson or else its right answer, boxes in the pixels that the model sees."""
    taught = lesson or Lesson(chosen=answer_text(prompt.target, prompt.sample.task))
    texts = [text for text in (taught.chosen, taught.rejected) if text]
    return Group(
        prompt=prompt,
        completions=tuple(_completion(text, encoder) for text in texts),
        advantages=(1.0, -1.0)[: len(texts)],
    )


def _completion(text: str, encoder: Encoder) -> Completion:
    token_ids = encoder.encode_answer(text)
    return Completion(
        token_ids=token_ids,
        text=text,
        logprobs=(),
        finish_reason="stop",
        policy_version=0,
        origin=Origin.reference_text,
        knowledge=(0, _num_stating(encoder.pieces(token_ids), text)),
    )


def _num_stating(pieces: Sequence[str], text: str) -> int:
    """How many tokens, from the first, hold a letter up to the end of the knowledge; 0 where a text states none."""
    stated, tag, _ = text.partition(KNOWLEDGE_END)
    if not tag:
        return 0
    end, read = len(stated) + len(tag), 0
    for index, piece in enumerate(pieces):
        if read >= end:
            return index
        read += len(piece)
    return len(pieces)


def _parsed(line: str, where: str) -> dict[str, Any]:
    try:
        told = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"{where}: not a line of JSON ({error}); mend it") from error
    if not isinstance(told, dict):
        raise ValueError(f'{where}: not an object such as {{"id": …, "chosen": …, "rejected": …}}; mend it')
    return told
