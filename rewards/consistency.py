"""Reward of attention that agrees on one place if there is a defect, and on none if there is not (CGRO)."""

from dataclasses import dataclass

from rewards.answers.parse import Answer
from rewards.component import Component, ComponentConfig
from rewards.item import Item
from rewards.truth import known_label
from rl.config import key
from rl.faults import UserError
from rl.types import DEFECTIVE, Target


def consistency_reward(
    agreement: float, target: Target, *, delta_high: float = 0.3, delta_low: float = 0.1
) -> float | None:
    """Return 1 if the top tokens agree on a place in a defective image, or on none in a normal one, else 0.

    R = y · 1[J > δ_high] + (1 - y) · 1[J < δ_low] (eq. 7), where y = 1 for a defective image and J is the agreement
    of the top tokens (eq. 6), 0 if no token was selected. None if the label is unknown.

    >>> consistency_reward(0.5, Target(label="defective")), consistency_reward(0.5, Target(label="normal"))
    (1.0, 0.0)
    >>> consistency_reward(0.0, Target(label="normal"))
    1.0
    """
    if not 0 <= agreement <= 1:
        raise UserError(f"agreement must be in [0, 1]; got {agreement}")
    label = known_label(target)
    if label is None:
        return None
    return float(agreement > delta_high if label == DEFECTIVE else agreement < delta_low)


@dataclass(kw_only=True)
class ConsistencyConfig(ComponentConfig):
    delta_high: float = key(0.3, "J above which a defective image earns 1.", ge=0, le=1)
    delta_low: float = key(0.1, "J below which a normal image earns 1.", ge=0, le=1)


def _judge(item: Item, answer: Answer, options: ConsistencyConfig) -> float | None:
    if item.agreement is None:
        return None
    return consistency_reward(item.agreement, item.target, delta_high=options.delta_high, delta_low=options.delta_low)


COMPONENT = Component(
    help="Attention agrees on one place if there is a defect, on none otherwise: 1 or 0 (CGRO).",
    judge=_judge,
    options=ConsistencyConfig,
    needs=("target.label", "agreement"),
)
