"""verl's mathematics behind plain functions: the only file that imports verl's algorithms."""

from dataclasses import asdict, dataclass

import rl.import_fixes  # noqa: F401

import torch
from verl.trainer.ppo import core_algos
from verl.workers.config import ActorConfig

from rl.algorithm import Aggregation, AlgoConfig, PolicyLoss

NO_DUAL_CLIP = 1e9
"""verl also bounds the loss of negative advantages at `clip_ratio_c` times the advantage; GRPO has no such bound."""


POLICY_LOSSES = {
    PolicyLoss.clipped: core_algos.compute_policy_loss_vanilla,
    PolicyLoss.gspo: core_algos.compute_policy_loss_gspo,
    PolicyLoss.cispo: core_algos.compute_policy_loss_cispo,
}


@dataclass(frozen=True, kw_only=True)
class Scale:
    """What a token loss is divided by: counts over all ranks and micro-batches of one optimizer step."""

    dp_size: int
    """Ranks whose gradients FSDP averages."""
    batch_num_tokens: int
    global_batch_size: int
    """Completions."""
    loss_scale_factor: int
    """The constant length by which Dr. GRPO divides."""


def ratio_loss(
    old: torch.Tensor,
    new: torch.Tensor,
    advantages: torch.Tensor,
    mask: torch.Tensor,
    config: AlgoConfig,
    scale: Scale,
) -> tuple[torch.Tensor, float]:
    """(the loss that config.policy_loss names, share of clipped tokens) of [completions, tokens] log-probs."""
    options = ActorConfig(
        strategy="fsdp2",
        rollout_n=config.num_completions,
        use_dynamic_bsz=True,
        # verl reads the low and high clips only.
        clip_ratio_low=config.clip_low,
        clip_ratio_high=config.clip_high,
        clip_ratio_c=NO_DUAL_CLIP,
        global_batch_info=asdict(scale),
    )
    compute = POLICY_LOSSES[config.policy_loss]
    loss, metrics = compute(old, new, advantages, mask, config.aggregation.value, options)
    return loss, metrics["actor/pg_clipfrac"]


def kl_estimate(new: torch.Tensor, reference: torch.Tensor, config: AlgoConfig) -> torch.Tensor:
    """Per-token estimate of KL(policy || reference)."""
    return core_algos.kl_penalty(new, reference, config.kl_estimator.value)


def aggregate(values: torch.Tensor, mask: torch.Tensor, aggregation: Aggregation, scale: Scale) -> torch.Tensor:
    """One number from [completions, tokens] values."""
    return core_algos.agg_loss(values, mask, aggregation.value, **asdict(scale))
