"""Starters before their training: a small random Qwen2.5-VL with its own tokenizer and processor."""

from collections.abc import Sequence
from pathlib import Path

import rl.import_fixes  # noqa: F401

import numpy as np
import torch
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

from rl.data.config import DataConfig
from rl.data.demo.annotators import Annotators
from rl.data.demo.synthesis import CONTRASTS, DEFECTS, KNOWN, MATERIALS, SIZE, make_part
from rl.data.grid import SIDE
from rl.data.pairs.template_teacher import FITS, SEEN
from rl.data.questions import QUESTIONS

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
"""Pieces of the answer format; each is one token, which keeps the demo's answers short."""


def _between(sentence: str) -> list[str]:
    """Split a sentence of the demo's knowledge around the object that it names."""
    return [part for part in sentence.strip(".").split("{}") if part]


CHOICE_FORM = (
    "What kind of",
    " defect is",
    ", and in which cells of the 16x16 grid?",
    *(f"\n{letter}:" for letter in "ABCD"),
    " No defect",
    "The answer is ",
    " The answer is ",
    "<seg>",
    "</seg>",
)
"""Single tokens of choice questions and answers; a kind of defect is the same token in options and reasoning."""
ROUTED_FORM = (
    "<knowledge>",
    "</knowledge>",
    "\nHere is some optional knowledge.",
    "[object]",
    *(f'\n"{name}": "' for name in ("Normal", "Scratch", "Hole", "Stain")),
    *(f"{name}: " for name in ("Normal", "Scratch", "Hole", "Stain")),
    *(f" {name}." for name in ("Normal", "Scratch", "Hole", "Stain")),
    *(part for text in KNOWN.values() for sentence in text.split(". ") for part in _between(sentence)),
    *SEEN,
    *(" " + fits.partition(" {")[0] for fits in FITS),
)
"""Single tokens of questions and answers with knowledge; a sentence is one token on each side of its object."""
CELLS = tuple(piece.format(number) for piece in ("({},", "-({},", "{})") for number in range(SIDE))
"""Pieces of a cell's row and column; each is one token."""
NUM_WORDS = 512
"""Size of the learned vocabulary, without the tokens added to it."""
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
HIDDEN, VISION_HIDDEN, HEAD = 128, 96, 32
"""Widths of the language model, the vision tower and a head; vLLM on CPUs needs heads of at least 32."""
SPREAD = 0.06
"""Standard deviation of the initial weights; Qwen's 0.02 suits wider layers."""


def write_untrained(folder: Path, data: DataConfig, seed: int) -> None:
    """Write tokenizer, processor and random weights in the layout that transformers and vLLM load."""
    tokenizer = make_tokenizer(data)
    torch.manual_seed(seed)
    model = Qwen2_5_VLForConditionalGeneration(_architecture(tokenizer))
    model.generation_config = GenerationConfig(eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id)
    model.save_pretrained(folder)
    size = {"shortest_edge": data.min_pixels, "longest_edge": data.max_pixels}
    Qwen2_5_VLProcessor(
        image_processor=Qwen2VLImageProcessor(size=size),
        tokenizer=tokenizer,
        video_processor=Qwen2VLVideoProcessor(size=size),
        chat_template=CHAT_TEMPLATE,
    ).save_pretrained(folder)


def write_forms(folder: Path, source: Path, words: Sequence[str]) -> None:
    """Write the starter in `source` with `words` added; each begins as the mean of the tokens it replaces."""
    processor = Qwen2_5_VLProcessor.from_pretrained(source)
    model = Qwen2_5_VLForConditionalGeneration.from_pretrained(source, dtype=torch.float32)
    pieces = [processor.tokenizer.encode(word, add_special_tokens=False) for word in words]
    processor.tokenizer.add_tokens(list(words))
    embeddings = model.resize_token_embeddings(len(processor.tokenizer), mean_resizing=False).weight.data
    for word, parts in zip(words, pieces, strict=True):
        embeddings[processor.tokenizer.convert_tokens_to_ids(word)] = embeddings[parts].mean(dim=0)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)


def make_tokenizer(data: DataConfig) -> Qwen2Tokenizer:
    """Learn a byte-level BPE from the demo's prompts and answers; a coordinate is one token."""
    letters = {letter: index for index, letter in enumerate(sorted(ByteLevel.alphabet()))}
    base = Qwen2Tokenizer(vocab=letters, merges=[], eos_token="<|im_end|>", pad_token="<|endoftext|>")
    tokenizer = base.train_new_from_iterator(_texts(data), vocab_size=NUM_WORDS)
    tokenizer.add_tokens([*FORM, *(str(edge) for edge in range(10, SIZE + 1))])
    tokenizer.add_special_tokens({"additional_special_tokens": list(SPECIAL_TOKENS)})
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def _texts(data: DataConfig) -> list[str]:
    rng, careful = np.random.default_rng(0), Annotators()
    parts = [
        make_part(rng, material, defect, CONTRASTS)
        for material in MATERIALS
        for defect in (*DEFECTS, None)
        for _ in range(30)
    ]
    return [f"user\n{QUESTIONS[data.task]}\nassistant\n{careful.answer(rng, part)}" for part in parts]


def _architecture(tokenizer: Qwen2Tokenizer) -> Qwen2_5_VLConfig:
    text = {
        "hidden_size": HIDDEN,
        "initializer_range": SPREAD,
        "intermediate_size": 2 * HIDDEN,
        "num_hidden_layers": 4,
        "num_attention_heads": HIDDEN // HEAD,
        "num_key_value_heads": HIDDEN // HEAD,
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
        "initializer_range": SPREAD,
        "hidden_size": VISION_HIDDEN,
        "intermediate_size": 2 * VISION_HIDDEN,
        "num_heads": VISION_HIDDEN // HEAD,
        "out_hidden_size": HIDDEN,
        "window_size": SIZE,
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
