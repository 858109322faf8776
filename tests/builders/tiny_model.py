"""A random Qwen2.5-VL of half a million parameters with its own tokenizer and processor, and its prompts."""

from collections.abc import Sequence
from pathlib import Path

import rl.import_fixes  # noqa: F401

import numpy as np
import torch
from PIL import Image
from tokenizers.pre_tokenizers import ByteLevel
from transformers import (
    AutoProcessor,
    GenerationConfig,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLProcessor,
    Qwen2Tokenizer,
    Qwen2VLImageProcessor,
    Qwen2VLVideoProcessor,
)

from launch.demo.untrained import CHAT_TEMPLATE, SPECIAL_TOKENS
from rl.types import Pixels, Prompt, Sample, Target

QUESTION = "Is this part defective?"


def write_tiny_model(
    folder: Path, *, tied: bool = True, seed: int = 0, num_layers: int = 2, num_key_heads: int = 2
) -> Path:
    """Write a checkpoint that transformers and vLLM load; `tied` shares the embeddings with the output layer."""
    tokenizer = _tokenizer()
    torch.manual_seed(seed)
    config = _config(tokenizer, tied)
    config.text_config.num_hidden_layers, config.text_config.num_key_value_heads = num_layers, num_key_heads
    config.text_config.layer_types = ["full_attention"] * num_layers
    model = Qwen2_5_VLForConditionalGeneration(config)
    with torch.no_grad():
        for parameter in model.parameters():
            # Biases and norms start at 0 and 1; noise makes a missing or swapped one show.
            parameter.add_(torch.randn_like(parameter) * 0.05)
        # A larger row makes the end of the turn likely enough that some answers end by themselves.
        model.lm_head.weight[tokenizer.eos_token_id] *= 4
    model.generation_config = GenerationConfig(eos_token_id=tokenizer.eos_token_id)
    model.save_pretrained(folder)
    size = {"shortest_edge": 28 * 28, "longest_edge": 336 * 336}
    Qwen2_5_VLProcessor(
        image_processor=Qwen2VLImageProcessor(size=size),
        tokenizer=tokenizer,
        video_processor=Qwen2VLVideoProcessor(size=size),
        chat_template=CHAT_TEMPLATE,
    ).save_pretrained(folder)
    return folder


def _tokenizer() -> Qwen2Tokenizer:
    """Make a tokenizer with a token for each byte, then Qwen's special tokens."""
    vocab = {letter: index for index, letter in enumerate(sorted(ByteLevel.alphabet()))}
    tokenizer = Qwen2Tokenizer(vocab=vocab, merges=[], eos_token="<|im_end|>", pad_token="<|endoftext|>")
    tokenizer.add_special_tokens({"additional_special_tokens": list(SPECIAL_TOKENS)})
    return tokenizer


def _config(tokenizer: Qwen2Tokenizer, tied: bool) -> Qwen2_5_VLConfig:
    text = {
        "hidden_size": 128,
        "intermediate_size": 256,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "vocab_size": len(tokenizer),
        "max_position_embeddings": 4096,
        "bos_token_id": None,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "tie_word_embeddings": tied,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [4, 6, 6]},
    }
    vision = {
        "depth": 2,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_heads": 2,
        "out_hidden_size": 128,
        "window_size": 56,
        "fullatt_block_indexes": [1],
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
    return Qwen2_5_VLConfig(text_config=text, vision_config=vision, tie_word_embeddings=tied, dtype="float32", **ids)


def tiny_prompt(
    model_folder: Path,
    sizes: Sequence[tuple[int, int]] = ((112, 112), (84, 56)),
    text: str = QUESTION,
    *,
    seed: int = 0,
) -> Prompt:
    """Make a prompt with a random image of each (width, height); `sizes=()` makes a text-only one."""
    processor = AutoProcessor.from_pretrained(model_folder)
    content = [{"type": "image"} for _ in sizes] + [{"type": "text", "text": text}]
    chat = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
    rng = np.random.default_rng(seed)
    images = [Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8)) for width, height in sizes]
    inputs = processor(text=[chat], images=images or None, return_tensors="np")
    token_ids = tuple(inputs["input_ids"][0].tolist())
    target = Target(label="normal")
    return Prompt(
        sample=Sample(
            id=f"tiny/{seed}",
            images=tuple(Path(f"{index}.png") for index in range(len(images))),
            question=text,
            target=target,
            category="tiny",
        ),
        token_ids=token_ids,
        pixels=_pixels(inputs) if images else None,
        image_spans=_runs(token_ids, processor.image_token_id),
        image_size=_size_seen(inputs["image_grid_thw"][-1]) if images else (0, 0),
        target=target,
    )


def _pixels(inputs: dict[str, np.ndarray]) -> Pixels:
    grid = tuple((int(t), int(h), int(w)) for t, h, w in inputs["image_grid_thw"])
    return Pixels(model_type="qwen2_5_vl", values=inputs["pixel_values"].astype(np.float32), grid=grid)


def _runs(token_ids: Sequence[int], wanted: int) -> tuple[tuple[int, int], ...]:
    """Return [start, end) of each run of `wanted`."""
    edges = np.flatnonzero(np.diff([0, *(int(token == wanted) for token in token_ids), 0]))
    return tuple((int(start), int(end)) for start, end in edges.reshape(-1, 2))


def _size_seen(grid: np.ndarray) -> tuple[int, int]:
    _, height, width = (int(side) for side in grid)
    return width * 14, height * 14
