"""Config of the preference losses, apart from their code so that the config tree loads without torch."""

from dataclasses import dataclass
from enum import Enum

from rl.config import key


class PairLoss(Enum):
    """Loss of a pair's margin; the equations are in rl/taught/preference.py."""

    sigmoid = "sigmoid"
    """DPO."""
    hinge = "hinge"
    """SLiC."""
    ipo = "ipo"
    """IPO."""


class LossSpan(Enum):
    """Tokens of an answer y = (k, c), knowledge k and reasoning c, that a loss reads."""

    response = "response"
    """The whole answer, as in KR-DPO's paper."""
    knowledge = "knowledge"
    """k, as an ablation."""
    reasoning = "reasoning"
    """c."""


@dataclass(kw_only=True)
class PreferenceConfig:
    loss: PairLoss = key(PairLoss.sigmoid, "Loss of a pair's margin.")
    beta: float = key(0.1, "β: a larger value keeps the policy closer to the reference; KR-DPO names none.", gt=0)
    label_smoothing: float = key(
        0.0,
        "Assumed share of pairs whose answers are swapped by mistake (conservative DPO); 0.5 prefers neither side.",
        ge=0,
        le=0.5,
    )
    length_normalized: bool = key(
        False, "Compare means over each answer's tokens, not sums, as TRL's sigmoid_norm and ipo do."
    )
    sft_weight: float = key(0.0, "Weight of the chosen answers' cross-entropy, added to the loss.", ge=0)


@dataclass(kw_only=True)
class KtoConfig:
    beta: float = key(0.1, "β: a larger value keeps the policy closer to the reference.", gt=0)
    desirable_weight: float = key(1.0, "Weight of the chosen answers' losses.", ge=0)
    undesirable_weight: float = key(
        1.0, "Weight of the rejected answers' losses; lower it if they outnumber the chosen ones.", ge=0
    )
