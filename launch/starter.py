"""Builds the demo's starter model from nothing: tokenizer, architecture, and supervised training on generated parts."""

from dataclasses import dataclass
from pathlib import Path

import rl.torchvision_ops  # noqa: F401

import numpy as np
from tokenizers.pre_tokenizers import ByteLevel
from transformers import (
    GenerationConfig,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLProcessor,
    Qwen2Tokenizer,
    Qwen2VLImageProcessor,
    Qwen2VLVideoProcessor,
)

from rl.data.config import DataConfig, Instructions
from rl.data.prompts import answer_text
from rl.data.synthesis import DEFECTS, MATERIALS, SIZE, Part, make_part, rationale
from rl.types import Target

SPECIAL_TOKENS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
FORM = ("<think>", "</think>", "<answer>", "</answer>", "{'bbox_2d': [", ", ", "], 'label': '", "'}")
"""Pieces of the answer's form, one token each, which keeps the demo's answers short."""
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
DATA = DataConfig(instructions=Instructions.none)
EDGE_STEP = 4
"""The annotators of the starter's training set draw boxes on a grid of this many pixels."""


@dataclass(frozen=True, kw_only=True)
class Phase:
    """A stretch of training on one mix of parts."""

    num_steps: int
    defective_share: float
    contrasts: tuple[float, float]


def write_untrained(folder: Path) -> None:
    """Tokenizer, processor and random weights, in the layout that transformers and vLLM load."""
    tokenizer = _tokenizer()
    model = Qwen2_5_VLForConditionalGeneration(_architecture(tokenizer))
    model.generation_config = GenerationConfig(eos_token_id=tokenizer.eos_token_id)
    model.save_pretrained(folder)
    size = {"shortest_edge": DATA.min_pixels, "longest_edge": DATA.max_pixels}
    Qwen2_5_VLProcessor(
        image_processor=Qwen2VLImageProcessor(size=size),
        tokenizer=tokenizer,
        video_processor=Qwen2VLVideoProcessor(size=size),
        chat_template=CHAT_TEMPLATE,
    ).save_pretrained(folder)


def _tokenizer() -> Qwen2Tokenizer:
    """Byte-level BPE learned from the demo's own prompts and answers; a coordinate is one token."""
    letters = {letter: index for index, letter in enumerate(sorted(ByteLevel.alphabet()))}
    base = Qwen2Tokenizer(vocab=letters, merges=[], eos_token="<|im_end|>", pad_token="<|endoftext|>")
    rng = np.random.default_rng(0)
    texts = [answer_text(target_of(_draw(rng, 0.9, (0.1, 0.4)))) for _ in range(500)]
    texts += [f"user\n{DATA.question}\nassistant\n"] * 500
    tokenizer = base.train_new_from_iterator(texts, vocab_size=512)
    tokenizer.add_tokens([*FORM, *(str(edge) for edge in range(10, SIZE + 1))])
    tokenizer.add_special_tokens({"additional_special_tokens": list(SPECIAL_TOKENS)})
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def _architecture(tokenizer: Qwen2Tokenizer) -> Qwen2_5_VLConfig:
    hidden = 128
    spread = float(__import__("os").environ.get("IR", "0.06"))
    text = {
        "hidden_size": hidden,
        "initializer_range": spread,
        "intermediate_size": 2 * hidden,
        "num_hidden_layers": 4,
        "num_attention_heads": hidden // 32,
        "num_key_value_heads": hidden // 32,
        "vocab_size": len(tokenizer),
        "max_position_embeddings": 4096,
        "bos_token_id": None,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "tie_word_embeddings": True,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [4, 6, 6]},
    }
    vision = {
        "depth": 3,
        "initializer_range": spread,
        "hidden_size": 96,
        "intermediate_size": 192,
        "num_heads": 3,
        "out_hidden_size": hidden,
        "window_size": 112,
        "fullatt_block_indexes": [1, 2],
    }
    ids = {
        f"{name}_token_id": tokenizer.convert_tokens_to_ids(f"<|{token}|>")
        for name, token in (
            ("image", "image_pad"),
            ("video", "video_pad"),
            ("vision_start", "vision_start"),
            ("vision_end", "vision_end"),
        )
    }
    return Qwen2_5_VLConfig(text_config=text, vision_config=vision, tie_word_embeddings=True, dtype="float32", **ids)


def _draw(rng: np.random.Generator, defective_share: float, contrasts: tuple[float, float]) -> Part:
    material = str(rng.choice(list(MATERIALS)))
    defect = str(rng.choice(DEFECTS)) if rng.random() < defective_share else None
    return make_part(rng, material, defect, contrasts)


def target_of(part: Part) -> Target:
    """The part as the starter's annotators describe it."""
    boxes = ()
    if part.box:
        boxes = (tuple(float(EDGE_STEP * round(edge / EDGE_STEP)) for edge in part.box),)
    return Target(
        label="defective" if part.defect else "normal",
        boxes=boxes,
        box_labels=(part.defect,) if part.defect else (),
        rationale=rationale(part),
    )
