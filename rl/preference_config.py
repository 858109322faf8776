"""Config of the preference losses; in a file without torch, so that the config tree loads without it."""

from dataclasses import dataclass
from enum import Enum

from rl.config import key


class PairLoss(Enum):
    """The loss of a pair whose chosen answer gained Δ nats more on the reference than the rejected one."""

    sigmoid = "sigmoid"
    """-log σ(β Δ): DPO; never content, so that the margin grows on."""
    hinge = "hinge"
    """max(0, 1 - β Δ): content from the margin 1 on (SLiC)."""
    ipo = "ipo"
    """(Δ - 1 / (2 β))²: drawn back from beyond that margin."""


class LossSpan(Enum):
    """Which tokens of an answer y = (k, c) a loss reads."""

    response = "response"
    """The knowledge and the reasoning from it: KR-DPO as the paper has it, and whatever has no knowledge."""
    knowledge = "knowledge"
    """The knowledge alone, as an ablation."""
    reasoning = "reasoning"
    """What follows the knowledge."""


@dataclass(kw_only=True)
class PreferenceConfig:
    loss: PairLoss = key(PairLoss.sigmoid, "How a pair's margin becomes its loss.")
    beta: float = key(0.1, "β: the larger, the closer the policy stays to the reference; the paper names none.", gt=0)
    label_smoothing: float = key(
        0.0,
        "Share of pairs taken to be the wrong way round, as conservative DPO has it; 0.5 prefers neither side.",
        ge=0,
        le=0.5,
    )
    length_normalized: bool = key(
        False, "Compare the means over each side's tokens, not the sums; TRL's sigmoid_norm, and its ipo, do so."
    )
    sft_weight: float = key(0.0, "Weight of the chosen answers' cross-entropy, over the same tokens.", ge=0)


@dataclass(kw_only=True)
class KtoConfig:
    beta: float = key(0.1, "β: the larger, the closer the policy stays to the reference.", gt=0)
    desirable_weight: float = key(1.0, "Weight of the chosen answers' losses.", ge=0)
    undesirable_weight: float = key(
        1.0, "Weight of the rejected answers' losses; lower it where they are many, for the two sides to be even.", ge=0
    )
