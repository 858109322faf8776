"""Tokens that no completion may hold: engine and learner both leave them out of the softmax."""

import rl.import_fixes  # noqa: F401

from transformers import AutoTokenizer

from rl.faults import UserError

IMAGE_TOKENS = ("<|vision_start|>", "<|vision_end|>", "<|vision_pad|>", "<|image_pad|>", "<|video_pad|>")


def banned_token_ids(model_path: str) -> tuple[int, ...]:
    """Ids of the tokens that stand for images: a sampled one would claim pixels that its sequence does not have."""
    vocabulary = AutoTokenizer.from_pretrained(model_path).get_vocab()
    missing = [token for token in IMAGE_TOKENS if token not in vocabulary]
    if missing:
        raise UserError(f"{model_path}: the tokenizer lacks {missing}; use a Qwen2.5-VL checkpoint with its tokenizer")
    return tuple(sorted(vocabulary[token] for token in IMAGE_TOKENS))
