"""Truncated sampling: the tokens that top-k, top-p and min-p leave out, by vLLM's rules."""

import math
from dataclasses import dataclass

import torch


@dataclass(frozen=True, kw_only=True)
class Truncation:
    """Options of sampling that leave out unlikely tokens; the defaults leave out none."""

    top_p: float = 1.0
    """Probability that the likeliest tokens, which stay, reach together."""
    top_k: int = 0
    """Number of likeliest tokens that stay; 0 for all."""
    min_p: float = 0.0
    """Lowest probability of a token that stays, as a share of the likeliest token's."""


KEEPS_ALL = Truncation()


def truncated(logits: torch.Tensor, labels: torch.Tensor, by: Truncation) -> torch.Tensor:
    """Return [tokens, vocabulary] logits with -inf at the tokens that sampling leaves out.

    The sampled tokens, `labels` [tokens], stay: rounding or a later update may have put one just outside the others.
    """
    if by == KEEPS_ALL:
        return logits
    with torch.no_grad():
        left_out = (logits < _lowest(logits, by)).scatter(-1, labels[:, None], False)
    return logits.masked_fill(left_out, -math.inf)


def _lowest(logits: torch.Tensor, by: Truncation) -> torch.Tensor:
    """Return the [tokens, 1] lowest logit that stays: min-p and top-k first, then top-p among what these left."""
    size = logits.shape[-1]
    # Only top-p without top-k needs the whole vocabulary in order.
    count = by.top_k or (size if by.top_p < 1 else 1)
    values = logits.topk(min(count, size)).values
    lowest = values[:, -1:] if by.top_k else torch.full_like(values[:, :1], -math.inf)
    if by.min_p:
        lowest = torch.maximum(lowest, values[:, :1] + math.log(by.min_p))
    if by.top_p < 1:
        probabilities = values.masked_fill(values < lowest, -math.inf).softmax(-1)
        likelier = probabilities.cumsum(-1) - probabilities
        lowest = torch.maximum(lowest, values.masked_fill(likelier >= by.top_p, math.inf).amin(-1, keepdim=True))
    return lowest
