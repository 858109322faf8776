"""Completions that join groups without contrast: verified reference texts and a teacher's negatives."""

import zlib
from collections.abc import Callable, Mapping, Sequence

from rl.contrast import Repair, hinted, untruths
from rl.data.lessons import Lesson
from rl.data.prompts import PromptBuilder, answer_text, check_prompts
from rl.faults import UserError
from rl.timing import Timings
from rl.types import Completion, Origin, Sample
from rollout.banned import banned_token_ids
from rollout.config import RolloutConfig, TeacherKind
from rollout.teacher import Teacher

Encode = Callable[[str], tuple[int, ...]]


class AnswerEncoder:
    """The encoder of texts into completions that the policy could have sampled."""

    def __init__(self, encode: Encode, banned_token_ids: Sequence[int], max_tokens: int) -> None:
        self._encode = encode
        self._banned = frozenset(banned_token_ids)
        self._max_tokens = max_tokens

    def of(self, text: str) -> tuple[tuple[int, ...], str]:
        """Return the tokens with the end of the turn, and ""; or () and why the policy could not have sampled them."""
        tokens = self._encode(text)
        if not text:
            return (), "is empty"
        if len(tokens) > self._max_tokens:
            return (), f"has {len(tokens)} tokens, more than rollout.max_response_tokens={self._max_tokens}"
        if not self._banned.isdisjoint(tokens) or tokens[-1] in tokens[:-1]:
            return (), "holds a token that stands for an image or ends the turn"
        return tokens, ""


def response_tokens(builder: PromptBuilder, model_path: str, config: RolloutConfig) -> AnswerEncoder:
    """Return the encoder of a run's completions."""
    return AnswerEncoder(builder.encode_answer, banned_token_ids(model_path), config.max_response_tokens)


class Repairer:
    """Plays rl.roles.Repairer: encodes reference texts and the teacher's texts."""

    def __init__(self, teacher: Teacher | None, tokens: AnswerEncoder, seed: int, timings: Timings) -> None:
        self._teacher = teacher
        self._tokens = tokens
        self._seed = seed
        self._timings = timings

    @property
    def has_teacher(self) -> bool:
        return self._teacher is not None

    async def write(self, repairs: Sequence[Repair], step: int) -> list[tuple[Completion, ...]]:
        with self._timings.span("contrast"):
            lessons = [repair for repair in repairs if repair.origin is Origin.teacher]
            seed = zlib.crc32(f"{self._seed}/{step}".encode())
            taught = iter(await self._teacher.write(lessons, seed) if self._teacher and lessons else [])
            return [
                self._completions(repair, next(taught) if repair.untruth else _reference(repair)) for repair in repairs
            ]

    def _completions(self, repair: Repair, texts: Sequence[str]) -> tuple[Completion, ...]:
        """Return the texts that the policy could have sampled; a teacher may write anything."""
        version = repair.group.completions[0].policy_version
        encoded = [(text, self._tokens.of(text)[0]) for text in texts]
        return tuple(
            Completion(
                token_ids=token_ids,
                text=text,
                logprobs=(),
                finish_reason="stop",
                policy_version=version,
                origin=repair.origin,
            )
            for text, token_ids in encoded
            if token_ids
        )


def check_contrast(
    samples: Sequence[Sample], builder: PromptBuilder, tokens: AnswerEncoder, config: RolloutConfig
) -> None:
    """Raise a UserError for the first sample whose reference text or hinted question a run could not use."""
    for sample in samples:
        fault = _fault(sample, tokens) if sample.target.rationale else ""
        if fault:
            raise UserError(
                f"sample {sample.id}: its reference text {fault}; correct it, or set algo.contrastive=false"
            )
    if config.teacher.kind is TeacherKind.policy:
        asked = [hinted(sample, wrong) for sample in samples for wrong in untruths(sample.task, sample.target)]
        check_prompts(asked, builder, config.max_prompt_tokens, config.max_images)


def check_lessons(lessons: Mapping[str, Lesson], tokens: AnswerEncoder) -> None:
    """Raise a UserError for the first text that the policy could not have sampled; `lessons` are by sample id."""
    for sample_id, lesson in lessons.items():
        for name, text in (("chosen", lesson.chosen), ("rejected", lesson.rejected)):
            fault = tokens.of(text)[1] if text else ""
            if fault:
                raise UserError(f"sample {sample_id}: its {name} text {fault}; correct data.lessons or raise the limit")


def _fault(sample: Sample, tokens: AnswerEncoder) -> str:
    try:
        return tokens.of(answer_text(sample.target, sample.task))[1]
    except UserError as error:
        return f"cannot be made ({error})"


def _reference(repair: Repair) -> list[str]:
    return [answer_text(repair.group.prompt.target, repair.group.prompt.sample.task)]
