"""What transformers itself says of where tokens look: eager attention, one completion after the other."""

from collections.abc import Sequence

import rl.import_fixes  # noqa: F401

import torch
from transformers import Qwen2_5_VLForConditionalGeneration

from builders.reference_inputs import inputs_of
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
    """Of each completion [tokens, image tokens of the last image + anomaly words], averaged over layers and heads.

    `offset` is that of the row of a token from its own position.
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
    """[layers, heads, length, length]."""
    attentions = model(**inputs_of(model, group.prompt, answer), output_attentions=True).attentions
    return torch.stack([layer[0] for layer in attentions]).float()
