"""The losses: tensors and their config in, (loss, metrics) out."""

from dataclasses import dataclass

import torch

from rl.algorithm import Aggregation, AlgoConfig
from rl.verl_core import Scale, aggregate, kl_estimate, ratio_loss


@dataclass(frozen=True, kw_only=True)
class LossInputs:
    """What one micro-batch offers the loss; every tensor is [completions, tokens] unless it says so."""

    logprobs: torch.Tensor
    """The policy's now, with gradient."""
    old_logprobs: torch.Tensor
    """The policy's when the completions were scored."""
    reference_logprobs: torch.Tensor | None
    """The frozen reference's; None when no KL is wanted."""
    advantages: torch.Tensor
    """[completions, 1 or tokens]."""
    mask: torch.Tensor
    """bool, True on tokens that count."""


def policy_loss(inputs: LossInputs, config: AlgoConfig, scale: Scale) -> tuple[torch.Tensor, dict[str, float]]:
    """The loss of config.policy_loss, by default -min(ρA, clip(ρ)A), + β KL; metrics are sums over tokens."""
    mask = inputs.mask.to(inputs.logprobs.dtype)
    # verl multiplies by the mask, which would let NaN through.
    new, old = (values.where(inputs.mask, 0.0) for values in (inputs.logprobs, inputs.old_logprobs))
    loss, clipped = ratio_loss(old, new, inputs.advantages, mask, config, scale)
    metrics = {"clip_ratio": clipped * float(mask.sum()), "kl": 0.0}
    if inputs.reference_logprobs is not None:
        divergence = kl_estimate(new, inputs.reference_logprobs.where(inputs.mask, 0.0), config)
        loss = loss + config.kl_weight * aggregate(divergence, mask, config.aggregation, scale)
        metrics["kl"] = float((divergence.detach() * mask).sum())
    return loss, metrics


def sft_loss(logprobs: torch.Tensor, mask: torch.Tensor, scale: Scale) -> torch.Tensor:
    """-Σ log π / number of tokens: cross-entropy of the answers' tokens alone."""
    values = logprobs.where(mask, 0.0)
    return aggregate(-values, mask.to(values.dtype), Aggregation.token_mean, scale)
