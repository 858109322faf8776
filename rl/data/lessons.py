"""Lessons: for a sample a better answer to teach and, for preferences, a worse one; from a file or from its target."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from rl.data.prompts import answer_text
from rl.documents import read_json_lines
from rl.faults import UserError, brief
from rl.types import Completion, Group, Origin, Prompt, Sample

KNOWLEDGE_START, KNOWLEDGE_END = "<knowledge>", "</knowledge>"


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """The answers taught on one sample."""

    chosen: str
    """Better answer."""
    rejected: str = ""
    """Worse answer; "" for none."""


class Encoder(Protocol):
    """The part of PromptBuilder that lessons need."""

    def encode_answer(self, text: str) -> tuple[int, ...]:
        """Return the tokens of an answer, including the end of the turn."""

    def pieces(self, token_ids: Sequence[int]) -> list[str]:
        """Return the text that each token adds."""


def read_lessons(path: Path, *, with_rejected: bool) -> dict[str, Lesson]:
    """Return the lessons of a file by sample id, from JSON lines {"id", "chosen", "rejected"}; ignore other fields."""
    lessons: dict[str, Lesson] = {}
    for where, told in read_json_lines(path):
        if not isinstance(told, dict):
            raise UserError(f'{where} is no object such as {{"id": …, "chosen": …, "rejected": …}}; mend it')
        wanted = ("id", "chosen", "rejected") if with_rejected else ("id", "chosen")
        lacking = [name for name in wanted if not (isinstance(told.get(name), str) and told[name])]
        if lacking:
            raise UserError(f"{where} has no text '{lacking[0]}'; a lesson here needs {', '.join(wanted)}")
        if with_rejected and told["chosen"] == told["rejected"]:
            raise UserError(f"{where} has the same text as chosen and rejected; leave the line out")
        if told["id"] in lessons:
            raise UserError(f"{where} is a second lesson of sample {brief(told['id'])}; leave one out")
        lessons[told["id"]] = Lesson(chosen=told["chosen"], rejected=told["rejected"] if with_rejected else "")
    if not lessons:
        raise UserError(f"{path}: the file holds no lesson; `assay pairs` writes one a sample")
    return lessons


def with_lessons(
    training: Sequence[Sample], heldout: Sequence[Sample], lessons: Mapping[str, Lesson], path: Path
) -> list[Sample]:
    """Return the training samples that have a lesson; a UserError names a lesson of any other sample."""
    known, kept_apart = {sample.id for sample in training}, {sample.id for sample in heldout}
    for sample_id in lessons:
        if sample_id in kept_apart:
            raise UserError(
                f"{path}: sample {sample_id} is held out for evaluation; make lessons of training samples, with this "
                "seed and data.heldout_share"
            )
        if sample_id not in known:
            raise UserError(f"{path}: sample {brief(sample_id)} is not in data.root; give the data of the lessons")
    return [sample for sample in training if sample.id in lessons]


def own_lesson(sample: Sample) -> Lesson:
    """Return the sample's right answer as a lesson; it has to reason."""
    if not sample.target.rationale:
        raise UserError(
            f"sample {sample.id}: it has no reasoning to teach; add its rationale to annotations.json, or give "
            "data.lessons"
        )
    try:
        return Lesson(chosen=answer_text(sample.target, sample.task))
    except UserError as error:
        raise UserError(f"sample {sample.id}: its right answer cannot be made ({error})") from error


def check_spans(lessons: Mapping[str, Lesson]) -> None:
    """Raise a UserError for the first text that states no knowledge, on which the loss of algo.span depends."""
    for sample_id, lesson in lessons.items():
        for name, text in (("chosen", lesson.chosen), ("rejected", lesson.rejected)):
            if text and not (text.startswith(KNOWLEDGE_START) and KNOWLEDGE_END in text):
                raise UserError(
                    f"sample {sample_id}: its {name} text does not begin with {KNOWLEDGE_START}…{KNOWLEDGE_END}, which "
                    "algo.span needs; choose algo.span=response, or lessons that state knowledge"
                )


def lesson_group(prompt: Prompt, lesson: Lesson | None, encoder: Encoder) -> Group:
    """Return the prompt with its lesson, or else with its right answer, boxes in the pixels that the model sees."""
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
    """Return how many leading tokens hold a letter of the knowledge that opens the text; 0 if none opens it."""
    stated, tag, _ = text.partition(KNOWLEDGE_END)
    if not (tag and text.startswith(KNOWLEDGE_START)):
        return 0
    end, read = len(stated) + len(tag), 0
    for index, piece in enumerate(pieces):
        if read >= end:
            return index
        read += len(piece)
    return len(pieces)
