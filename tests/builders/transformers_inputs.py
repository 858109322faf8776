"""Inputs of a forward pass of transformers, with which our own is compared."""

from collections.abc import Sequence
from typing import Any

import torch

from rl.types import Prompt


def inputs_of(model: Any, prompt: Prompt, answer: Sequence[int] = ()) -> dict[str, torch.Tensor]:
    """Make the keyword arguments of a forward pass over one prompt, its images and one answer."""
    ids = torch.tensor([[*prompt.token_ids, *answer]])
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    if prompt.pixels:
        inputs |= {
            "pixel_values": torch.from_numpy(prompt.pixels.values),
            "image_grid_thw": torch.tensor(prompt.pixels.grid),
            "mm_token_type_ids": (ids == model.config.image_token_id).int(),
        }
    return inputs


def answer_logits(model: Any, prompt: Prompt, answer: Sequence[int]) -> torch.Tensor:
    """Return the logits [tokens, vocabulary] from which each token of the answer is drawn."""
    return model(**inputs_of(model, prompt, answer)).logits[0, len(prompt.token_ids) - 1 : -1]
