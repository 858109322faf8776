"""The completions that join groups: tokens of the run's own tokenizer, and nothing that the policy could not sample."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from rl.contrast import Repair
from rl.data.config import DataConfig
from rl.data.prompts import PromptBuilder, answer_text
from rl.timing import Timings
from rl.types import Completion, Group, Origin, Prompt, Sample, Target, Task
from rollout.config import RolloutConfig, TeacherConfig, TeacherKind
from rollout.repairer import AnswerEncoder, Repairer, check_contrast, response_tokens

TARGET = Target(label="defective", boxes=((1.0, 2.0, 9.0, 8.0),), box_labels=("cut",), rationale="A cut.")
SAMPLE = Sample(id="metal/001", images=(), question="Any defect?", target=TARGET, category="metal")
CONFIG = RolloutConfig(max_prompt_tokens=2000, max_response_tokens=120)


@pytest.fixture(scope="module")
def builder(tiny_model: Path) -> PromptBuilder:
    return PromptBuilder(str(tiny_model), DataConfig())


@pytest.fixture(scope="module")
def tokens(builder: PromptBuilder, tiny_model: Path) -> AnswerEncoder:
    return response_tokens(builder, str(tiny_model), CONFIG)


class Dictated:
    """Writes what it was given."""

    def __init__(self, texts: Sequence[Sequence[str]]) -> None:
        self.texts = texts
        self.seeds: list[int] = []

    async def write(self, repairs: Sequence[Repair], seed: int) -> list[list[str]]:
        self.seeds.append(seed)
        return [list(texts) for texts, _ in zip(self.texts, repairs, strict=True)]


def repair(origin: Origin, untruth: str = "", version: int = 3) -> Repair:
    prompt = Prompt(sample=SAMPLE, token_ids=(1,), pixels=None, image_spans=(), image_size=(0, 0), target=TARGET)
    sampled = Completion(token_ids=(5,), text="x", logprobs=(0.0,), finish_reason="stop", policy_version=version)
    return Repair(group=Group(prompt=prompt, completions=(sampled,) * 4), origin=origin, places=(0, 1), untruth=untruth)


REFERENCE, LESSON = repair(Origin.reference_text), repair(Origin.teacher, "normal")


def written(
    teacher: Dictated | None, tokens: AnswerEncoder, repairs: Sequence[Repair], step: int = 0
) -> list[tuple[Completion, ...]]:
    return asyncio.run(Repairer(teacher, tokens, 7, Timings()).write(repairs, step))


def test_a_reference_text_is_the_right_answer_with_the_end_of_the_turn(builder: PromptBuilder, tokens: AnswerEncoder):
    ((joins,),) = written(None, tokens, [REFERENCE])
    assert joins.text == answer_text(TARGET)
    assert joins.token_ids == builder.encode_answer(joins.text)
    assert (joins.origin, joins.logprobs, joins.policy_version) == (Origin.reference_text, (), 3)


def test_a_teachers_texts_go_to_the_groups_that_they_were_written_for(tokens: AnswerEncoder):
    teacher = Dictated([["one", "two"], ["three"]])
    found = written(teacher, tokens, [LESSON, REFERENCE, LESSON])
    assert [[joins.text for joins in each] for each in found] == [["one", "two"], [answer_text(TARGET)], ["three"]]
    assert {joins.origin for joins in found[0] + found[2]} == {Origin.teacher}


@pytest.mark.parametrize(
    "text", ["", "a<|image_pad|>b", "<|vision_start|>", "No.<|im_end|>Yes.", "word " * 100], ids=str.split
)
def test_a_text_that_the_policy_could_not_have_sampled_does_not_join(tokens: AnswerEncoder, text: str):
    assert written(Dictated([[text, "No."]]), tokens, [LESSON])[0][0].text == "No."


def test_a_step_has_a_seed_of_its_own_and_the_same_one_each_time(tokens: AnswerEncoder):
    teacher = Dictated([["one"]])
    for step in (0, 1, 0):
        written(teacher, tokens, [LESSON], step)
    assert teacher.seeds[0] == teacher.seeds[2] != teacher.seeds[1]


def test_a_teacher_is_not_asked_when_nobody_needs_one(tokens: AnswerEncoder):
    teacher = Dictated([])
    written(teacher, tokens, [REFERENCE])
    assert teacher.seeds == []


def test_good_reference_texts_pass(builder: PromptBuilder, tokens: AnswerEncoder):
    check_contrast([SAMPLE, replace(SAMPLE, target=replace(TARGET, rationale=""))], builder, tokens, CONFIG)


@pytest.mark.parametrize(
    ("sample", "words"),
    [
        (replace(SAMPLE, target=replace(TARGET, rationale="long " * 50)), "more than rollout.max_response_tokens=120"),
        (replace(SAMPLE, target=replace(TARGET, rationale="<|image_pad|>")), "stands for an image"),
        (replace(SAMPLE, task=Task.grid, target=replace(TARGET, option="A")), "cannot be made"),
    ],
)
def test_a_reference_text_that_cannot_join_is_named_before_anything_starts(
    builder: PromptBuilder, tokens: AnswerEncoder, sample: Sample, words: str
):
    with pytest.raises(ValueError, match="sample metal/001: its reference text") as caught:
        check_contrast([sample], builder, tokens, CONFIG)
    assert words in str(caught.value)


def test_a_hint_that_makes_a_prompt_too_long_for_the_policy_is_named(builder: PromptBuilder, tokens: AnswerEncoder):
    bare = builder.num_text_tokens(SAMPLE)
    config = replace(CONFIG, max_prompt_tokens=bare, teacher=TeacherConfig(kind=TeacherKind.policy))
    with pytest.raises(ValueError, match=f"more than rollout.max_prompt_tokens={bare}"):
        check_contrast([SAMPLE], builder, tokens, config)
    check_contrast([SAMPLE], builder, tokens, replace(config, teacher=TeacherConfig()))
