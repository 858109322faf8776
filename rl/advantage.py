"""Advantages: what each completion earned beyond the other completions of its group."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from rl.algorithm import AlgoConfig, Baseline, BatchNorm
from rl.faults import UserError
from rl.types import Group, Score

DEVIATION_FLOOR = 1e-6
"""Added to a group's standard deviation, as verl does."""
VARIANCE_FLOOR = 1e-8
"""Added to the batch's variance, so that a batch without contrast stays at 0."""


def beyond_mean(rewards: np.ndarray) -> np.ndarray:
    """Return r_i - mean r. GRPO (DeepSeekMath, 2024).

    >>> beyond_mean(np.array([3.0, 1.0, 2.0])).tolist()
    [1.0, -1.0, 0.0]
    """
    return rewards - rewards.mean()


def beyond_others(rewards: np.ndarray) -> np.ndarray:
    """Return r_i - mean of r_j over j ≠ i, which is G / (G - 1) · (r_i - mean r). RLOO (Ahmadian et al., 2024).

    >>> beyond_others(np.array([3.0, 1.0, 2.0])).tolist()
    [1.5, -1.5, 0.0]
    """
    return beyond_mean(rewards) * len(rewards) / (len(rewards) - 1)


BASELINES: Mapping[Baseline, Callable[[np.ndarray], np.ndarray]] = {
    Baseline.group_mean: beyond_mean,
    Baseline.leave_one_out: beyond_others,
}
"""Distance of a group's rewards, two or more, from their baselines."""


def whitened(values: Sequence[float], counts: Sequence[int]) -> list[float]:
    """Return (value - mean) / standard deviation, where value i stands for `counts[i]` equal ones.

    >>> [round(value, 6) for value in whitened([1.0, 4.0], [2, 1])]
    [-0.57735, 1.154701]
    """
    if not values:
        return []
    total = sum(counts)
    mean = sum(count * value for value, count in zip(values, counts, strict=True)) / total
    squares = sum(count * (value - mean) ** 2 for value, count in zip(values, counts, strict=True))
    deviation = (squares / (total - 1) + VARIANCE_FLOOR) ** 0.5
    return [(value - mean) / deviation for value in values]


BATCH_NORMS: Mapping[BatchNorm, Callable[[Sequence[float], Sequence[int]], Sequence[float]]] = {
    BatchNorm.none: lambda values, lengths: values,
    # Each completion counts once, so a group without contrast keeps 0. GDPO (2026), and TRL.
    BatchNorm.completions: lambda values, lengths: whitened(values, [1] * len(values)),
    # Each token counts once, so a group without contrast gets -mean / deviation. REINFORCE++ (2025), and verl.
    BatchNorm.tokens: whitened,
}
"""Whitening of the advantages of a batch; takes them and the completions' lengths in tokens."""


def group_advantages(
    groups: Sequence[Group], config: AlgoConfig, weights: Mapping[str, float] | None = None
) -> list[Group]:
    """Give each completion its advantage: (r_i - mean r) / std r over its group, or the variant that the config names.

    A completion that was not judged, or that is the only judged one of its group, gets 0 and does not change the
    others' advantages. `weights` are those of the reward's components, for algo.normalize_components.
    """
    counting = {name: weight for name, weight in (weights or {}).items() if weight != 0}
    if config.normalize_components and not counting:
        raise UserError("algo.normalize_components compares the reward's components, but none was given a weight")
    compared = {
        (place, index): value
        for place, group in enumerate(groups)
        for index, value in _within_group(group, config, counting).items()
    }
    lengths = [len(groups[place].completions[index].token_ids) for place, index in compared]
    values = BATCH_NORMS[config.normalize_batch](list(compared.values()), lengths)
    advantages = dict(zip(compared, values, strict=True))
    return [
        replace(group, advantages=tuple(advantages.get((place, index), 0.0) for index in range(len(group.completions))))
        for place, group in enumerate(groups)
    ]


def _within_group(group: Group, config: AlgoConfig, weights: Mapping[str, float]) -> dict[int, float]:
    """Return the advantages of judged completions by index; {} if there are not two to compare."""
    judged = {index: score for index, score in enumerate(group.scores) if score.total is not None}
    if len(judged) < 2:
        return {}
    scores = list(judged.values())
    if config.normalize_components:
        # Each component on its own, then the weighted sum. GDPO (2026).
        parts = [
            weight * _compared([_component(score, name) for score in scores], config)
            for name, weight in weights.items()
        ]
        advantages = np.sum(parts, axis=0)
    else:
        advantages = _compared([score.total for score in scores], config)
    return dict(zip(judged, advantages.tolist(), strict=True))


def _compared(rewards: Sequence[float | None], config: AlgoConfig) -> np.ndarray:
    """Return the distances of a group's rewards from their baselines, over the standard deviation if wanted."""
    values = np.array(rewards, np.float64)
    distances = BASELINES[config.baseline](values)
    # GRPO divides, Dr. GRPO (2025) does not.
    return distances / (values.std(ddof=1) + DEVIATION_FLOOR) if config.normalize_std else distances


def _component(score: Score, name: str) -> float:
    value = score.components[name]
    assert value is not None, f"a score has a total although {name}, which counts, was not judged"
    return value
