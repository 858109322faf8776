"""Config of the algorithm: its objective, its losses and its optimizer."""

from dataclasses import dataclass
from enum import Enum

from rl.config import key
from rl.preference_config import KtoConfig, LossSpan, PreferenceConfig


class Objective(Enum):
    """Source of a step's learning; rl/recipe.py says what each one needs."""

    grpo = "grpo"
    """The rewards of the policy's completions."""
    sft = "sft"
    """Right answers."""
    dpo = "dpo"
    """Pairs of a better and a worse answer; KR-DPO if they state pieces of knowledge."""
    kto = "kto"
    """Better and worse answers, each on its own (KTO)."""


class Aggregation(Enum):
    """Average of token losses; the values are those of verl's loss_agg_mode."""

    token_mean = "token-mean"
    sequence_mean = "seq-mean-token-mean"
    dr_grpo = "seq-mean-token-sum-norm"


class Baseline(Enum):
    """Value that is subtracted from a completion's reward; the equations are in rl/advantage.py."""

    group_mean = "group_mean"
    """Mean of its group."""
    leave_one_out = "leave_one_out"
    """Mean of the others in its group."""


class BatchNorm(Enum):
    """Unit of the mean and deviation by which a batch's advantages are whitened; see rl/advantage.py."""

    none = "none"
    """No whitening."""
    completions = "completions"
    """GDPO."""
    tokens = "tokens"
    """REINFORCE++."""


class PolicyLoss(Enum):
    """Loss of the ratio of new to old probability; the equations are in rl/loss.py."""

    clipped = "clipped"
    """PPO and GRPO: one ratio a token, clipped."""
    gspo = "gspo"
    """GSPO: one ratio a completion, clipped."""
    cispo = "cispo"
    """CISPO: the ratio as a clipped weight."""


class KlEstimator(Enum):
    """Estimator of KL(policy || reference) from one token; names as in verl and Schulman's note (2020)."""

    k1 = "k1"
    k2 = "k2"
    k3 = "k3"


class Schedule(Enum):
    constant = "constant"
    linear = "linear"
    cosine = "cosine"
    cosine_restarts = "cosine_restarts"
    """From the peak to 0 in each of algo.num_cycles equal parts."""


@dataclass(kw_only=True)
class AlgoConfig:
    objective: Objective = key(Objective.grpo, "Learn from rewards, or from the answers of data.lessons.")
    num_prompts: int = key(32, "Prompts per step.", ge=1)
    num_completions: int = key(8, "Completions per prompt, G; GRPO compares them, so at least 2.", ge=2)
    num_updates: int = key(1, "Optimizer steps per rollout batch; must divide num_prompts.", ge=1)
    policy_loss: PolicyLoss = key(PolicyLoss.clipped, "Loss of the ratio of new to old probability.")
    clip_low: float = key(0.2, "Lower clip of the probability ratio: 1 - clip_low.", ge=0, le=1)
    clip_high: float = key(0.2, "Upper clip of the probability ratio: 1 + clip_high.", ge=0)
    kl_weight: float = key(0.0, "Weight beta of the KL to the reference; 0 starts no reference actor.", ge=0)
    kl_estimator: KlEstimator = key(KlEstimator.k3, "Estimator of the KL.")
    aggregation: Aggregation = key(Aggregation.sequence_mean, "Average of the token losses.")
    baseline: Baseline = key(Baseline.group_mean, "Value subtracted from a completion's reward.")
    normalize_std: bool = key(True, "Divide advantages by the group's standard deviation.")
    normalize_components: bool = key(
        False, "Compute advantages for each component of the reward on its own, then add them by weight (GDPO)."
    )
    normalize_batch: BatchNorm = key(
        BatchNorm.none,
        "Whiten advantages with the batch's mean and standard deviation, over completions or tokens.",
    )
    lr: float = key(1e-6, "Peak learning rate of AdamW.", gt=0)
    weight_decay: float = key(0.01, "AdamW weight decay.", ge=0)
    warmup_steps: int = key(0, "Optimizer steps of linear warm-up.", ge=0)
    warmup_share: float = key(
        0.0, "Linear warm-up as a share of all optimizer steps; the longer warm-up holds.", ge=0, le=1
    )
    schedule: Schedule = key(Schedule.constant, "Learning rate after the warm-up; linear and cosine end at 0.")
    num_cycles: int = key(1, "Parts of schedule=cosine_restarts, each from the peak to 0.", ge=1)
    max_grad_norm: float = key(1.0, "Maximum gradient norm; larger gradients are scaled down to it.", gt=0)
    parity_warn: float = key(2e-2, "Warn when engine and learner log-probs differ by more than this on average.", gt=0)
    parity_stop: float = key(
        1e-1, "Stop the run when engine and learner log-probs differ by more than this on average.", gt=0
    )
    contrastive: bool = key(
        False,
        "Repair a group whose completions all earned the same: add the sample's reference text if they are wrong, a "
        "teacher's negatives if they are right (MMR-AD); see rollout.teacher.",
    )
    bounded_negatives: bool = key(
        False,
        "Weight each token of a teacher's negatives by its current probability, so that the push against it fades; "
        "false pushes with full weight (MMR-AD).",
    )
    max_refills: int = key(
        0, "Maximum rounds per step that replace groups without contrast by groups of new samples (DAPO).", ge=0
    )
    max_unjudged: float = key(
        0.2, "Stop the run when a larger share of a step's completions could not be judged.", ge=0, le=1
    )
    span: LossSpan = key(LossSpan.response, "Tokens of a taught answer that the loss reads; kto reads all.")
    preference: PreferenceConfig = key(PreferenceConfig, "Loss of a pair, objective=dpo.")
    kto: KtoConfig = key(KtoConfig, "Loss of an answer, objective=kto.")
