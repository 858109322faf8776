"""Attention weights computed by transformers itself: eager attention, one completion after the other."""

from collections.abc import Sequence

import rl.import_fixes  # noqa: F401

import torch
from transformers import Qwen2_5_VLForConditionalGeneration

from builders.transformers_inputs import inputs_of
from rl.types import Group

Eager = Qwen2_5_VLForConditionalGeneration


def eager_shares(
    model: Eager,
    group: Group,
    *,
    offset: int = -1,
    layers: Sequence[int] | None = None,
    heads: Sequence[int] | None = None,
) -> list[torch.Tensor]:
    """Return for each completion [tokens, tokens of the last image + anomaly words], averaged over layers and heads.

    The row of a token is at its own position plus `offset`.
    """
    prompt = group.prompt
    begin, end = prompt.image_spans[-1]
    columns = [*range(begin, end), *prompt.anomaly_tokens]
    found = []
    for completion in group.completions:
        attention = whole_attention(model, group, completion.token_ids)
        chosen = attention[list(layers) if layers else slice(None)][:, list(heads) if heads else slice(None)]
        first = len(prompt.token_ids) + offset
        found.append(chosen.mean((0, 1))[first : first + len(completion.token_ids)][:, columns])
    return found


@torch.no_grad()
def whole_attention(model: Eager, group: Group, answer: Sequence[int]) -> torch.Tensor:
    """Return the attention weights [layers, heads, length, length]."""
    attentions = model(**inputs_of(model, group.prompt, answer), output_attentions=True).attentions
    return torch.stack([layer[0] for layer in attentions]).float()
