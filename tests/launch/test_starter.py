"""The starter before its training loads everywhere, and its training is seeded and learns."""

from pathlib import Path

import rl.torchvision_ops  # noqa: F401

import numpy as np
import pytest
import torch
from transformers import AutoModelForImageTextToText, AutoProcessor, Qwen2_5_VLForConditionalGeneration

from launch.starter import CURRICULUM, DATA, Lessons, Phase, train
from launch.untrained import SPECIAL_TOKENS, write_untrained
from rl.data.annotators import Annotators
from rl.data.synthesis import CONTRASTS, DEFECTS, MATERIALS, SIZE, make_part

SHORT = Phase(
    num_steps=40, lr=(2e-3, 2e-3), defective_share=0.5, contrasts=CONTRASTS, annotators=Annotators(), batch_size=4
)
COMMITTED = Path(__file__).parents[2] / "models/starter"


@pytest.fixture(scope="module")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("untrained")
    write_untrained(folder, DATA, seed=0)
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


def test_the_committed_starter_is_small_and_has_this_tokenizer(untrained):
    files = [path for path in COMMITTED.iterdir() if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 10 * 2**20
    for name in ("tokenizer.json", "chat_template.jinja", "processor_config.json"):
        assert (COMMITTED / name).read_text() == (untrained / name).read_text(), name
