"""Advantages: what each completion earned beyond the other completions of its group."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from rl.algorithm import AlgoConfig, Baseline, BatchNorm
from rl.faults import UserError
from rl.types import Group, Score

DEVIATION_FLOOR = 1e-6
"""Added to a group's standard deviation, as verl does."""
VARIANCE_FLOOR = 1e-8
"""Added to the batch's variance, so that a batch without contrast stays at 0."""


@dataclass(frozen=True, kw_only=True)
class _Member:
    """A judged completion that has others of its group to be compared with."""

    group: int
    index: int
    num_judged: int
    """In its group, itself included."""
    num_tokens: int
    total: float
    score: Score


def group_advantages(
    groups: Sequence[Group], config: AlgoConfig, weights: Mapping[str, float] | None = None
) -> list[Group]:
    """A_i = (r_i - mean r) / std r over the judged completions of a group, or the variant that the config names.

    A completion that was not judged, or that alone was, has 0 and moves no other. `weights` are those of the reward's
    components, for algo.normalize_components.
    """
    members = [member for number, group in enumerate(groups) for member in _members(number, group)]
    values = _within_groups(members, config, weights or {})
    if config.normalize_batch is not BatchNorm.none:
        by_tokens = config.normalize_batch is BatchNorm.tokens
        values = whitened(values, [member.num_tokens if by_tokens else 1 for member in members])
    advantages = [[0.0] * len(group.completions) for group in groups]
    for member, value in zip(members, values, strict=True):
        advantages[member.group][member.index] = value
    return [replace(group, advantages=tuple(values)) for group, values in zip(groups, advantages, strict=True)]


def grpo_advantages(totals: Sequence[float], group_ids: Sequence[int], *, normalize_std: bool) -> list[float]:
    """A_i = (r_i - mean r) / std r over the rewards of a group (DeepSeekMath, 2024), or r_i - mean r (Dr. GRPO, 2025).

    A group has two rewards at least.

    >>> [round(value, 3) for value in grpo_advantages([1.0, 0.0, 5.0, 5.0], [0, 0, 1, 1], normalize_std=True)]
    [0.707, -0.707, 0.0, 0.0]
    """
    rewards, groups = np.array(totals, np.float64), np.array(group_ids)
    advantages = np.zeros_like(rewards)
    for group in set(group_ids):
        of_group = rewards[groups == group]
        centred = of_group - of_group.mean()
        advantages[groups == group] = centred / (of_group.std(ddof=1) + DEVIATION_FLOOR) if normalize_std else centred
    return [float(value) for value in advantages]


def whitened(values: Sequence[float], counts: Sequence[int]) -> list[float]:
    """(value - mean) / standard deviation, where each value stands for `count` equal ones.

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


def _members(number: int, group: Group) -> Iterator[_Member]:
    judged = [(index, score, score.total) for index, score in enumerate(group.scores) if score.total is not None]
    # Alone a completion has nothing to be compared with.
    for index, score, total in judged if len(judged) > 1 else []:
        yield _Member(
            group=number,
            index=index,
            num_judged=len(judged),
            num_tokens=len(group.completions[index].token_ids),
            total=total,
            score=score,
        )


def _within_groups(members: Sequence[_Member], config: AlgoConfig, weights: Mapping[str, float]) -> list[float]:
    """Of the totals, or the weighted sum of those of each component (GDPO)."""
    if not config.normalize_components:
        return _compared(members, [member.total for member in members], config)
    counting = {name: weight for name, weight in weights.items() if weight != 0}
    if not counting:
        raise UserError("algo.normalize_components compares the reward's components, but none was given a weight")
    sums = [0.0] * len(members)
    for name, weight in counting.items():
        values = _compared(members, [_component(member.score, name) for member in members], config)
        sums = [total + weight * value for total, value in zip(sums, values, strict=True)]
    return sums


def _compared(members: Sequence[_Member], rewards: list[float], config: AlgoConfig) -> list[float]:
    """How far each reward is from its baseline, in standard deviations of its group if wanted."""
    values = grpo_advantages(rewards, [member.group for member in members], normalize_std=config.normalize_std)
    if config.baseline is Baseline.leave_one_out:
        sizes = [member.num_judged for member in members]
        return [value * size / (size - 1) for value, size in zip(values, sizes, strict=True)]
    return values


def _component(score: Score, name: str) -> float:
    value = score.components[name]
    assert value is not None, f"a score has a total although {name}, which counts, was not judged"
    return value
