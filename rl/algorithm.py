"""Config of the algorithm: what methods.md calls G, clip, beta and the aggregation."""

from dataclasses import dataclass
from enum import Enum

from rl.config import key


class Aggregation(Enum):
    """How token losses become one number; names as in verl's loss_agg_mode."""

    token_mean = "token-mean"
    sequence_mean = "seq-mean-token-mean"
    dr_grpo = "seq-mean-token-sum-norm"


class KlEstimator(Enum):
    k1 = "k1"
    k2 = "k2"
    k3 = "k3"


class Schedule(Enum):
    constant = "constant"
    linear = "linear"
    cosine = "cosine"


@dataclass(kw_only=True)
class AlgoConfig:
    num_prompts: int = key(32, "Prompts a step.", ge=1)
    num_completions: int = key(8, "Completions a prompt, G; GRPO compares them, so at least 2.", ge=2)
    num_updates: int = key(1, "Optimizer steps a rollout batch; must divide num_prompts.", ge=1)
    clip_low: float = key(0.2, "Lower clip of the probability ratio: 1 - clip_low.", ge=0, le=1)
    clip_high: float = key(0.2, "Upper clip of the probability ratio: 1 + clip_high.", ge=0)
    kl_weight: float = key(0.0, "Weight beta of the KL to the reference; 0 starts no reference actor.", ge=0)
    kl_estimator: KlEstimator = key(KlEstimator.k3, "Estimator of the KL.")
    aggregation: Aggregation = key(Aggregation.sequence_mean, "How token losses are averaged.")
    normalize_std: bool = key(True, "Divide advantages by the group's standard deviation.")
    lr: float = key(1e-6, "Peak learning rate of AdamW.", gt=0)
    weight_decay: float = key(0.01, "AdamW weight decay.", ge=0)
    warmup_steps: int = key(0, "Optimizer steps of linear warm-up.", ge=0)
    schedule: Schedule = key(Schedule.constant, "Learning rate after the warm-up; linear and cosine end at 0.")
    max_grad_norm: float = key(1.0, "Gradients are clipped to this norm.", gt=0)
    parity_warn: float = key(2e-2, "Warn when engine and learner log-probs differ by more than this on average.", gt=0)
    parity_stop: float = key(
        1e-1, "Stop the run when engine and learner log-probs differ by more than this on average.", gt=0
    )
