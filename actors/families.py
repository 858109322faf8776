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
    embeds = hf.get_input_embeddings()(batch.ids)
    embeds = with_images(embeds, batch, vision_output(hf, batch, embeds.dtype).pooler_output)
    mask = score_mask(batch, embeds)
    return {
        "inputs_embeds": embeds,
        "attention_mask": {"full_attention": mask, "sliding_attention": mask},
        "position_ids": batch.positions,
    }


def vision_output(hf: PreTrainedModel, batch: GroupBatch, dtype: torch.dtype) -> Any:
    """Return the output of a vision tower that takes patches and their grid.

    A micro-batch without images encodes a blank one, because the collectives of other ranks expect the vision tower.
    """
    visual, pixels, grid = hf.model.visual, batch.pixels, batch.grid
    learns = any(parameter.requires_grad for parameter in visual.parameters())
    if pixels is None:
        side = FAMILIES[hf.config.model_type].merge_size
        pixels = torch.zeros(side**2, visual.patch_embed.proj.weight[0].numel(), device=batch.ids.device)
        grid = torch.tensor([[1, side, side]], device=batch.ids.device)
    with torch.set_grad_enabled(learns and torch.is_grad_enabled()):
        return visual(pixels.to(dtype), grid_thw=grid)


def with_images(embeds: torch.Tensor, batch: GroupBatch, features: torch.Tensor) -> torch.Tensor:
    """Return the embeddings with image features in place of their placeholders; unchanged if there are no images."""
    if batch.pixels is None:
        return embeds + 0.0 * features.to(embeds.dtype).sum()
    return embeds.masked_scatter(batch.image_tokens[..., None], features.to(embeds.dtype))


def score_mask(batch: GroupBatch, embeds: torch.Tensor) -> torch.Tensor:
    """Return the tree mask as numbers to add to the scores; every layer would convert a bool mask anew."""
    return embeds.new_zeros(1).where(tree_mask(batch.branches, batch.segments)[:, None], float("-inf"))


LANGUAGE_INPUTS: dict[str, Callable[[PreTrainedModel, GroupBatch], dict[str, Any]]] = {
    "qwen2_5_vl": planar_inputs,
}
"""By model_type, the function that makes the keyword arguments of the language model's forward pass."""
