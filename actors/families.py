"""The code of each model family in transformers: from a micro-batch to the inputs of its language model."""

from collections.abc import Callable
from typing import Any

import rl.import_fixes  # noqa: F401

import torch
from transformers import PreTrainedModel

from rl.batching import GroupBatch, tree_mask
from rl.family import FAMILIES


def planar_inputs(hf: PreTrainedModel, batch: GroupBatch) -> dict[str, Any]:
    """Return the inputs of a language model with M-RoPE, whose vision tower takes patches and their grid."""
    embeds = _with_images(hf, batch)
    mask = score_mask(batch, embeds)
    return {
        "inputs_embeds": embeds,
        "attention_mask": {"full_attention": mask, "sliding_attention": mask},
        "position_ids": batch.positions,
    }


def score_mask(batch: GroupBatch, embeds: torch.Tensor) -> torch.Tensor:
    """Return the tree mask as numbers to add to the scores; every layer would convert a bool mask anew."""
    return embeds.new_zeros(1).where(tree_mask(batch.branches, batch.segments)[:, None], float("-inf"))


def _with_images(hf: PreTrainedModel, batch: GroupBatch) -> torch.Tensor:
    """Return the embeddings with image features in place of their placeholders.

    A micro-batch without images encodes a blank one, because the collectives of other ranks expect the vision tower.
    """
    embeds, visual = hf.get_input_embeddings()(batch.ids), hf.model.visual
    learns = any(parameter.requires_grad for parameter in visual.parameters())
    pixels, grid = batch.pixels, batch.grid
    if pixels is None:
        side = FAMILIES[hf.config.model_type].merge_size
        pixels = embeds.new_zeros(side**2, visual.patch_embed.proj.weight[0].numel())
        grid = torch.tensor([[1, side, side]], device=embeds.device)
    with torch.set_grad_enabled(learns and torch.is_grad_enabled()):
        features = visual(pixels.to(embeds.dtype), grid_thw=grid).pooler_output.to(embeds.dtype)
    if batch.pixels is None:
        return embeds + 0.0 * features.sum()
    return embeds.masked_scatter(batch.image_tokens[..., None], features)


LANGUAGE_INPUTS: dict[str, Callable[[PreTrainedModel, GroupBatch], dict[str, Any]]] = {
    "qwen2_5_vl": planar_inputs,
}
"""By model_type, the function that makes the keyword arguments of the language model's forward pass."""
