"""Random Qwen2.5-VL models of known shapes, and random prompts and answers for them."""

from pathlib import Path

import rl.import_fixes  # noqa: F401

import numpy as np
from transformers import Qwen2_5_VLConfig

from rl.types import Completion, Pixels, Prompt, Sample, Target

NUM_WORDS, IMAGE, VISION_START, NUM_SPOKEN = 1000, 999, 998, 400
SMALL = {
    "hidden_size": 512,
    "intermediate_size": 1408,
    "num_hidden_layers": 12,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
}
SHAPES = {
    "12 layers": SMALL,
    "3b": {
        "hidden_size": 2048,
        "intermediate_size": 11008,
        "num_hidden_layers": 36,
        "num_attention_heads": 16,
        "num_key_value_heads": 2,
    },
}


def config_of(shape: str) -> Qwen2_5_VLConfig:
    """Configure a model with a small vision tower, since the language model is measured."""
    sizes = SHAPES[shape]
    half = sizes["hidden_size"] // sizes["num_attention_heads"] // 2
    text = {
        **sizes,
        "vocab_size": NUM_WORDS,
        "max_position_embeddings": 4096,
        "tie_word_embeddings": True,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 10000.0,
            "mrope_section": [half // 4, half * 3 // 8, half - half // 4 - half * 3 // 8],
        },
    }
    vision = {
        "depth": 2,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_heads": 2,
        "out_hidden_size": sizes["hidden_size"],
        "fullatt_block_indexes": [1],
    }
    ids = {"image_token_id": IMAGE, "vision_start_token_id": VISION_START, "video_token_id": 997}
    return Qwen2_5_VLConfig(text_config=text, vision_config=vision, tie_word_embeddings=True, **ids)


def random_prompt(num_images: int, side: int, num_text: int, seed: int = 0) -> Prompt:
    """Make a prompt of images with side x side tokens each, then text."""
    rng = np.random.default_rng(seed)
    image = [VISION_START, *[IMAGE] * side**2]
    target = Target(label="normal")
    return Prompt(
        sample=Sample(id="bench", images=(Path("0.png"),) * num_images, question="", target=target, category=""),
        token_ids=tuple([*image * num_images, *rng.integers(0, NUM_SPOKEN, num_text).tolist()]),
        pixels=Pixels(
            model_type="qwen2_5_vl",
            values=rng.normal(size=(num_images * 4 * side**2, 1176)).astype(np.float32),
            grid=((1, 2 * side, 2 * side),) * num_images,
        ),
        image_spans=tuple((1 + index * len(image), (index + 1) * len(image)) for index in range(num_images)),
        image_size=(28 * side, 28 * side),
        target=target,
    )


def random_answer(num_tokens: int, seed: int = 0) -> Completion:
    answer = tuple(np.random.default_rng(seed).integers(0, NUM_SPOKEN, num_tokens).tolist())
    return Completion(token_ids=answer, text="", logprobs=(0.0,) * num_tokens, finish_reason="stop", policy_version=0)
