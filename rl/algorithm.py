"""Config of the algorithm: what methods.md calls G, clip, beta and the aggregation."""

from dataclasses import dataclass
from enum import Enum

from rl.config import key
from rl.preference_config import KtoConfig, LossSpan, PreferenceConfig


class Objective(Enum):
    """What a step learns from."""

    grpo = "grpo"
    """Completions of the policy, by their rewards."""
    sft = "sft"
    """Right answers."""
    dpo = "dpo"
    """Pairs of a better and a worse answer; with pieces of knowledge in them this is KR-DPO."""
    kto = "kto"
    """The same answers, each for itself."""


class Aggregation(Enum):
    """How token losses become one number; names as in verl's loss_agg_mode."""

    token_mean = "token-mean"
    sequence_mean = "seq-mean-token-mean"
    dr_grpo = "seq-mean-token-sum-norm"


class Baseline(Enum):
    """What a completion's reward is compared with."""

    group_mean = "group_mean"
    """The mean of its group."""
    leave_one_out = "leave_one_out"
    """The mean of the others in its group: G / (G - 1) times as far away."""


class BatchNorm(Enum):
    """What counts once when advantages are whitened over the batch of a step."""

    none = "none"
    """They are not whitened."""
    completions = "completions"
    """As GDPO's paper and TRL have it; a group without contrast keeps 0."""
    tokens = "tokens"
    """As REINFORCE++ and verl have it; a group without contrast gets what the shift of the mean gives it."""


class PolicyLoss(Enum):
    """How the ratio ρ of new to old probability enters the loss of a token; A is the advantage, sg stops gradients."""

    clipped = "clipped"
    """-min(ρ A, clip(ρ) A), with a ratio of each token."""
    gspo = "gspo"
    """The same with one ratio for all tokens of a completion: the geometric mean of theirs."""
    cispo = "cispo"
    """-sg(clip(ρ)) A log π: the ratio is clipped as a weight, so that no token loses its gradient."""


class KlEstimator(Enum):
    k1 = "k1"
    k2 = "k2"
    k3 = "k3"


class Schedule(Enum):
    constant = "constant"
    linear = "linear"
    cosine = "cosine"
    cosine_restarts = "cosine_restarts"
    """Back at the peak after each of algo.num_cycles equal parts."""


@dataclass(kw_only=True)
class AlgoConfig:
    objective: Objective = key(Objective.grpo, "What a step learns from: rewards, or the answers of data.lessons.")
    num_prompts: int = key(32, "Prompts a step.", ge=1)
    num_completions: int = key(8, "Completions a prompt, G; GRPO compares them, so at least 2.", ge=2)
    num_updates: int = key(1, "Optimizer steps a rollout batch; must divide num_prompts.", ge=1)
    policy_loss: PolicyLoss = key(PolicyLoss.clipped, "How the probability ratio enters the loss.")
    clip_low: float = key(0.2, "Lower clip of the probability ratio: 1 - clip_low.", ge=0, le=1)
    clip_high: float = key(0.2, "Upper clip of the probability ratio: 1 + clip_high.", ge=0)
    kl_weight: float = key(0.0, "Weight beta of the KL to the reference; 0 starts no reference actor.", ge=0)
    kl_estimator: KlEstimator = key(KlEstimator.k3, "Estimator of the KL.")
    aggregation: Aggregation = key(Aggregation.sequence_mean, "How token losses are averaged.")
    baseline: Baseline = key(Baseline.group_mean, "What a completion's reward is compared with.")
    normalize_std: bool = key(True, "Divide advantages by the group's standard deviation.")
    normalize_components: bool = key(
        False, "Compare each component of the reward on its own within the group; then weight and add them."
    )
    normalize_batch: BatchNorm = key(
        BatchNorm.none,
        "Then subtract the batch's mean and divide by its standard deviation, over completions or tokens.",
    )
    lr: float = key(1e-6, "Peak learning rate of AdamW.", gt=0)
    weight_decay: float = key(0.01, "AdamW weight decay.", ge=0)
    warmup_steps: int = key(0, "Optimizer steps of linear warm-up.", ge=0)
    warmup_share: float = key(
        0.0, "The same as a share of all optimizer steps; the longer of the two holds.", ge=0, le=1
    )
    schedule: Schedule = key(Schedule.constant, "Learning rate after the warm-up; linear and cosine end at 0.")
    num_cycles: int = key(1, "Parts of schedule=cosine_restarts, each from the peak to 0.", ge=1)
    max_grad_norm: float = key(1.0, "Gradients are clipped to this norm.", gt=0)
    parity_warn: float = key(2e-2, "Warn when engine and learner log-probs differ by more than this on average.", gt=0)
    parity_stop: float = key(
        1e-1, "Stop the run when engine and learner log-probs differ by more than this on average.", gt=0
    )
    contrastive: bool = key(
        False,
        "Give a group whose completions all earned the same the sample's reference text when they are wrong, a "
        "teacher's negatives when they are right (MMR-AD); see rollout.teacher.",
    )
    bounded_negatives: bool = key(
        False,
        "Push a token of such negatives away in proportion to the probability that it still has, so that the push "
        "ends; false never lets up (MMR-AD).",
    )
    max_refills: int = key(
        0, "Times a step that groups still without contrast are replaced by those of new samples (DAPO).", ge=0
    )
    max_unjudged: float = key(
        0.2, "Stop the run when a larger share of a step's completions could not be judged.", ge=0, le=1
    )
    span: LossSpan = key(LossSpan.response, "Tokens of an answer that sft and dpo read.")
    preference: PreferenceConfig = key(PreferenceConfig, "The loss of a pair, objective=dpo.")
    kto: KtoConfig = key(KtoConfig, "The loss of an answer, objective=kto.")

    @property
    def compares(self) -> bool:
        """Whether the loss needs the log-probs of the frozen reference."""
        by_objective = {Objective.grpo: self.kl_weight > 0, Objective.sft: False}
        return by_objective.get(self.objective, True)
