"""verl's algorithms as plain functions; no other file imports verl."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import rl.import_fixes  # noqa: F401

import torch

from rl.algorithm import Aggregation, AlgoConfig

NO_DUAL_CLIP = 1e9
"""Value of clip_ratio_c: verl bounds the loss of negative advantages at that multiple of them, GRPO does not."""


@dataclass(frozen=True, kw_only=True)
class Scale:
    """Divisors of a token loss: counts over all ranks and micro-batches of one optimizer step."""

    dp_size: int
    """Ranks whose gradients FSDP averages."""
    batch_num_tokens: int
    global_batch_size: int
    """Completions."""
    loss_scale_factor: int
    """Constant length by which Dr. GRPO divides."""


RatioLoss = Callable[
    [torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, AlgoConfig, Scale], tuple[torch.Tensor, float]
]
"""Loss and share of clipped tokens from old log-probs, new log-probs, advantages, mask, config and scale."""


def import_verl() -> Any:
    """Return verl's core algorithms; importing them takes four seconds, which the driver and lessons do without."""
    from verl.trainer.ppo import core_algos

    return core_algos


def _of_verl(chosen: Callable[[Any], Callable[..., tuple[torch.Tensor, dict[str, float]]]]) -> RatioLoss:
    """Return the loss that `chosen` takes from verl's core algorithms as a RatioLoss."""

    def ratio_loss(
        old: torch.Tensor,
        new: torch.Tensor,
        advantages: torch.Tensor,
        mask: torch.Tensor,
        config: AlgoConfig,
        scale: Scale,
    ) -> tuple[torch.Tensor, float]:
        from verl.workers.config import ActorConfig

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
        loss, metrics = chosen(import_verl())(old, new, advantages, mask, config.aggregation.value, options)
        return loss, metrics["actor/pg_clipfrac"]

    return ratio_loss


clipped_loss = _of_verl(lambda core: core.compute_policy_loss_vanilla)
gspo_loss = _of_verl(lambda core: core.compute_policy_loss_gspo)
cispo_loss = _of_verl(lambda core: core.compute_policy_loss_cispo)


def kl_estimate(new: torch.Tensor, reference: torch.Tensor, config: AlgoConfig) -> torch.Tensor:
    """Return the estimate of KL(policy || reference) from each token."""
    return import_verl().kl_penalty(new, reference, config.kl_estimator.value)


def aggregate(values: torch.Tensor, mask: torch.Tensor, aggregation: Aggregation, scale: Scale) -> torch.Tensor:
    """Average [completions, tokens] values as `aggregation` says."""
    return import_verl().agg_loss(values, mask, aggregation.value, **asdict(scale))
