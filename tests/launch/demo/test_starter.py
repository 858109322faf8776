"""The untrained starter loads everywhere; its training is seeded and learns."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import rl.import_fixes  # noqa: F401

import numpy as np
import pytest
import torch
from transformers import AutoModelForImageTextToText, AutoProcessor, Qwen2_5_VLForConditionalGeneration

from launch.demo.starter import (
    BUSY_CHOOSING,
    CURRICULUM,
    DATA,
    FORMS_CURRICULUM,
    ROUTED_CURRICULUM,
    SEQUELS,
    YES_NO_CURRICULUM,
    Lessons,
    Phase,
    asking_in,
    train,
)
from launch.demo.untrained import SPECIAL_TOKENS, write_forms, write_untrained
from rewards.answers.parse import parse_answer
from rl.asking import read_asking
from rl.batching import GroupBatch
from rl.data.demo.annotators import Annotators
from rl.data.demo.synthesis import CONTRASTS, DEFECTS, MATERIALS, SIZE, make_part
from rl.data.questions import QUESTIONS, options_of, with_options
from rl.types import Task

SHORT = Phase(
    num_steps=40, lr=(2e-3, 2e-3), defective_share=0.5, contrasts=CONTRASTS, annotators=Annotators(), batch_size=4
)
MODELS = Path(__file__).parents[3] / "models"


@pytest.fixture(scope="module")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("untrained")
    write_untrained(folder, DATA, seed=0)
    return folder


def taught(batch: GroupBatch, tokenizer: Any) -> list[str]:
    """Decode the answers of a batch in the order of its lessons."""
    return [tokenizer.decode(answer) for answer in batch.labels.split(batch.has_token.sum(1).tolist())]


@pytest.fixture(scope="module")
def forms(untrained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("forms")
    write_forms(folder, untrained, SEQUELS["forms"].words)
    return folder


def test_it_is_a_real_qwen_that_the_auto_classes_load(untrained):
    model = AutoModelForImageTextToText.from_pretrained(untrained)
    processor = AutoProcessor.from_pretrained(untrained)
    assert isinstance(model, Qwen2_5_VLForConditionalGeneration)
    assert model.config.image_token_id == processor.tokenizer.convert_tokens_to_ids("<|image_pad|>")
    assert model.generation_config.eos_token_id == processor.tokenizer.convert_tokens_to_ids("<|im_end|>")
    text, vision = model.config.text_config, model.config.vision_config
    assert text.hidden_size // text.num_attention_heads >= 32 and vision.hidden_size // vision.num_heads >= 32


def test_every_special_token_and_coordinate_is_one_token(untrained):
    tokenizer = AutoProcessor.from_pretrained(untrained).tokenizer
    for text in (*SPECIAL_TOKENS, *(str(edge) for edge in range(SIZE + 1))):
        assert len(tokenizer.encode(text)) == 1


def test_prompts_and_answers_are_short_and_survive_the_tokenizer(untrained):
    tokenizer = AutoProcessor.from_pretrained(untrained).tokenizer
    rng = np.random.default_rng(1)
    for material in MATERIALS:
        for defect in (*DEFECTS, None):
            answer = Annotators().answer(rng, make_part(rng, material, defect, CONTRASTS))
            tokens = tokenizer.encode(answer)
            assert len(tokens) <= 30 and tokenizer.decode(tokens) == answer
    batch = next(iter(Lessons(untrained, SHORT, [0])))
    assert batch.ids.shape[1] <= 90


def test_the_same_seed_draws_the_same_lessons(untrained):
    first, again, other = (next(iter(Lessons(untrained, SHORT, [seed]))) for seed in (0, 0, 1))
    assert torch.equal(first.pixels, again.pixels) and torch.equal(first.labels, again.labels)
    assert not torch.equal(first.pixels, other.pixels)


def test_the_learning_rate_warms_up_and_falls_to_its_end():
    phase = CURRICULUM[-1]
    rates = [phase.lr_at(step) for step in range(phase.num_steps)]
    assert rates[0] < max(rates) / 40 and max(rates) < phase.lr[0]
    assert rates[-1] == pytest.approx(phase.lr[1], rel=0.1)


@pytest.mark.slow
def test_training_learns_the_form(tmp_path):
    write_untrained(tmp_path, DATA, seed=0)
    losses = train(tmp_path, (SHORT,), seed=0)
    assert len(losses) == SHORT.num_steps and losses[-1] < losses[0] / 2
    AutoModelForImageTextToText.from_pretrained(tmp_path)


def test_the_other_forms_are_short_and_survive_the_tokenizer(forms):
    tokenizer = AutoProcessor.from_pretrained(forms).tokenizer
    rng = np.random.default_rng(1)
    for task, longest in ((Task.choice, 25), (Task.grid, 80)):
        for number in range(40):
            options = options_of(DEFECTS, str(number))
            part = make_part(rng, str(rng.choice(list(MATERIALS))), str(rng.choice(DEFECTS)), CONTRASTS)
            answer = BUSY_CHOOSING.choose(rng, part, options, task)
            tokens = tokenizer.encode(answer)
            assert len(tokens) <= longest and tokenizer.decode(tokens) == answer
            question = with_options(QUESTIONS[task], options)
            assert len(tokenizer.encode(question)) <= 16 and tokenizer.decode(tokenizer.encode(question)) == question


def test_a_kind_of_defect_is_the_same_token_in_options_and_reasoning(forms):
    tokenizer = AutoProcessor.from_pretrained(forms).tokenizer
    for kind in DEFECTS:
        (shared,) = set(tokenizer.encode(f"A {kind} at the top")) & set(tokenizer.encode(f"\nA: {kind}"))
        assert tokenizer.decode([shared]) == f" {kind}"


def test_boxes_keep_their_tokens_and_old_words_their_weights(untrained, forms):
    old, new = (AutoProcessor.from_pretrained(folder).tokenizer for folder in (untrained, forms))
    rng = np.random.default_rng(2)
    for defect in (*DEFECTS, None):
        answer = Annotators().answer(rng, make_part(rng, "wood", defect, CONTRASTS))
        for text in (QUESTIONS[Task.boxes], answer):
            assert new.encode(text) == old.encode(text)
    before, after = (Qwen2_5_VLForConditionalGeneration.from_pretrained(folder) for folder in (untrained, forms))
    assert after.config.text_config.vocab_size == len(new) > len(old)
    assert torch.equal(after.get_input_embeddings().weight[: len(old)], before.get_input_embeddings().weight)
    assert after.lm_head.weight is after.get_input_embeddings().weight


def test_a_new_word_begins_as_the_mean_of_the_old_ones(untrained, forms):
    old, new = (AutoProcessor.from_pretrained(folder).tokenizer for folder in (untrained, forms))
    weights = Qwen2_5_VLForConditionalGeneration.from_pretrained(forms).get_input_embeddings().weight
    parts = weights[old.encode("(12,")]
    assert len(parts) > 1
    torch.testing.assert_close(weights[new.convert_tokens_to_ids("(12,")], parts.mean(dim=0))


def test_lessons_take_the_tasks_in_turn(forms):
    phase = Phase(
        num_steps=1,
        lr=(1e-3, 1e-3),
        defective_share=0.5,
        contrasts=CONTRASTS,
        annotators=Annotators(),
        tasks=(Task.grid, Task.choice, Task.boxes),
        batch_size=6,
    )
    batch, tokenizer = next(iter(Lessons(forms, phase, [0]))), AutoProcessor.from_pretrained(forms).tokenizer
    texts = taught(batch, tokenizer)
    assert [text.startswith("<seg>") for text in texts] == [True, False, False] * 2
    assert ["The answer is" in text for text in texts] == [True, True, False] * 2


def test_the_forms_are_learnt_from_careful_then_busy_annotators():
    careful, busy = FORMS_CURRICULUM
    assert careful.annotators == Annotators() and busy.annotators == BUSY_CHOOSING
    assert set(careful.tasks) == set(busy.tasks) == {Task.choice, Task.grid, Task.boxes}


def test_lessons_of_yes_and_no_show_one_image_and_name_no_box(untrained):
    phase = replace(YES_NO_CURRICULUM[0], num_steps=1, batch_size=4)
    batch, tokenizer = next(iter(Lessons(untrained, phase, [0]))), AutoProcessor.from_pretrained(untrained).tokenizer
    texts = taught(batch, tokenizer)
    assert len(batch.grid) == len(texts) == 4
    assert all(text.endswith(("<answer>Yes.</answer><|im_end|>", "<answer>No.</answer><|im_end|>")) for text in texts)


def test_routed_lessons_offer_all_knowledge_and_state_a_piece_of_it(forms, tmp_path):
    write_forms(tmp_path, forms, SEQUELS["routed"].words)
    phase = replace(ROUTED_CURRICULUM[0], num_steps=1, batch_size=6)
    batch, tokenizer = next(iter(Lessons(tmp_path, phase, [0]))), AutoProcessor.from_pretrained(tmp_path).tokenizer
    texts = [text.removesuffix("<|im_end|>") for text in taught(batch, tokenizer)]
    read = [parse_answer(text, Task.routed, (SIZE, SIZE)) for text in texts]
    assert all(answer.knowledge and answer.think and answer.option and not answer.malformed for answer in read)
    assert {len(answer) < 25 for answer in batch.labels.split(batch.has_token.sum(1).tolist())} == {True}
    asked = tokenizer.decode(batch.ids[0])
    assert all(asked.count(f'"{name}": "') >= 1 for name in ("Normal", "Scratch", "Hole", "Stain"))


@pytest.mark.parametrize("name", ["starter", "starter_forms", "starter_yes_no", "starter_routed"])
def test_a_committed_starter_is_small_and_has_the_current_tokenizer(name, untrained, forms, tmp_path):
    written = {"starter": untrained, "starter_forms": forms, "starter_yes_no": untrained, "starter_routed": tmp_path}
    if name == "starter_routed":
        write_forms(tmp_path, MODELS / "starter_forms", SEQUELS["routed"].words)
    files = [path for path in (MODELS / name).iterdir() if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 10 * 2**20
    for file in ("tokenizer.json", "chat_template.jinja", "processor_config.json"):
        assert (MODELS / name / file).read_text() == (written[name] / file).read_text(), file


@pytest.mark.parametrize("name", ["starter", *(sequel.folder.name for sequel in SEQUELS.values())])
def test_a_starter_holds_how_its_curriculum_asked(name: str):
    curricula = {sequel.folder.name: sequel.curriculum for sequel in SEQUELS.values()}
    assert read_asking(MODELS / name) == asking_in(curricula.get(name, CURRICULUM))
