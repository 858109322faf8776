"""Reward of reasoning that looks in one place where there is a defect, and nowhere in particular else (CGRO)."""

import numpy as np

from rewards.truth import known_label
from rl.types import Target


def consistency_reward(
    maps: np.ndarray,
    target: Target,
    *,
    delta_high: float = 0.3,
    delta_low: float = 0.1,
    percentile: float = 95.0,
) -> float | None:
    """1 when the tokens that matter most agree on a place of a defective image, or on none of a normal one, else 0.

    R = y · 1[J > δ_high] + (1 - y) · 1[J < δ_low] (eq. 7), y = 1 for a defective image, J as in `agreement`. None
    where the label is unknown.

    Args:
        maps: [tokens, P, P] attention to the image of the top tokens by weight; [0, P, P] when none was kept.

    >>> here, there = np.zeros((4, 4)), np.zeros((4, 4))
    >>> here[0, 0] = there[3, 3] = 1
    >>> consistency_reward(np.stack([here, here, here]), Target(label="defective"))
    1.0
    >>> consistency_reward(np.stack([here, here, there]), Target(label="normal"))
    1.0
    """
    label = known_label(target)
    if label is None:
        return None
    shared = agreement(maps, percentile)
    return float(shared > delta_high if label == "defective" else shared < delta_low)


def agreement(maps: np.ndarray, percentile: float = 95.0) -> float:
    """J = |∩ Ω_r| / |∪ Ω_r| (eq. 6), in [0, 1], where Ω_r is what lies above the percentile of map r.

    0 when there is no map, or when none has anything above its percentile, as an even one has not.
    """
    if maps.ndim != 3 or not np.isfinite(maps).all():
        raise ValueError(f"maps must be finite numbers of shape [tokens, P, P]; got shape {list(maps.shape)}")
    if not maps.size:
        return 0.0
    supports = maps > np.percentile(maps, percentile, axis=(1, 2), keepdims=True)
    anywhere = int(supports.any(axis=0).sum())
    return int(supports.all(axis=0).sum()) / anywhere if anywhere else 0.0
