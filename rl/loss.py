"""The losses of rewards and of right answers: tensors and their config in, (loss, metrics) out."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from rl.algorithm import Aggregation, AlgoConfig, PolicyLoss
from rl.verl_core import RatioLoss, Scale, aggregate, cispo_loss, clipped_loss, gspo_loss, kl_estimate

POLICY_LOSSES: Mapping[PolicyLoss, RatioLoss] = {
    # -min(ρ A, clip(ρ, 1 - ε_low, 1 + ε_high) A), ρ = π / π_old of each token.
    # PPO (Schulman et al., 2017), GRPO (DeepSeekMath, 2024); the two clips are DAPO's (2025).
    PolicyLoss.clipped: clipped_loss,
    # The same with one ratio a completion, ρ = exp(mean_t log(π_t / π_old,t)). GSPO (Zheng et al., 2025).
    PolicyLoss.gspo: gspo_loss,
    # -sg(clip(ρ, 1 - ε_low, 1 + ε_high)) A log π, where sg stops the gradient. CISPO (MiniMax-M1, 2025).
    PolicyLoss.cispo: cispo_loss,
}
"""Loss by name; a loss that verl lacks is a function in this file and a line here."""


@dataclass(frozen=True, kw_only=True)
class LossInputs:
    """A micro-batch of scored completions; every tensor is [completions, tokens] unless it says so."""

    logprobs: torch.Tensor
    """Log-probs of the policy now, with gradient."""
    old_logprobs: torch.Tensor
    """Log-probs of the policy before the update."""
    reference_logprobs: torch.Tensor | None
    """Log-probs of the frozen reference; None without a KL."""
    advantages: torch.Tensor
    """[completions, 1 or tokens]."""
    mask: torch.Tensor
    """bool, True on tokens that count."""


def policy_loss(inputs: LossInputs, config: AlgoConfig, scale: Scale) -> tuple[torch.Tensor, dict[str, float]]:
    """Return the loss of config.policy_loss + β KL, and metrics as sums over tokens."""
    mask = inputs.mask.to(inputs.logprobs.dtype)
    # verl multiplies by the mask, which would let NaN through.
    new, old = (values.where(inputs.mask, 0.0) for values in (inputs.logprobs, inputs.old_logprobs))
    # verl's order of arguments: old log-probs before new ones.
    loss, clipped = POLICY_LOSSES[config.policy_loss](old, new, inputs.advantages, mask, config, scale)
    metrics = {"clip_ratio": clipped * float(mask.sum()), "kl": 0.0}
    if inputs.reference_logprobs is not None:
        divergence = kl_estimate(new, inputs.reference_logprobs.where(inputs.mask, 0.0), config)
        loss = loss + config.kl_weight * aggregate(divergence, mask, config.aggregation, scale)
        metrics["kl"] = float((divergence.detach() * mask).sum())
    return loss, metrics


def sft_loss(logprobs: torch.Tensor, mask: torch.Tensor, scale: Scale) -> torch.Tensor:
    """Return -Σ log π / number of tokens, over the tokens of the mask."""
    values = logprobs.where(mask, 0.0)
    return aggregate(-values, mask.to(values.dtype), Aggregation.token_mean, scale)
