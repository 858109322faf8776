"""Advantages: what each completion earned beyond the other completions of its group."""

from collections.abc import Sequence
from dataclasses import replace

from rl.algorithm import AlgoConfig
from rl.types import Group
from rl.verl_core import grpo_advantages


def group_advantages(groups: Sequence[Group], config: AlgoConfig) -> list[Group]:
    """A_i = (r_i - mean r) / std r over the judged completions of a group; a completion that was not judged has 0."""
    judged = [
        (number, index, score.total)
        for number, group in enumerate(groups)
        for index, score in enumerate(group.scores)
        if score.total is not None
    ]
    totals = [total for _, _, total in judged]
    values = grpo_advantages(totals, [number for number, _, _ in judged], normalize_std=config.normalize_std)
    advantages = [[0.0] * len(group.completions) for group in groups]
    for (number, index, _), value in zip(judged, values, strict=True):
        # verl leaves the only judged completion of a group uncentred; alone it has nothing to be compared with.
        alone = sum(score.total is not None for score in groups[number].scores) == 1
        advantages[number][index] = 0.0 if alone else value
    return [replace(group, advantages=tuple(values)) for group, values in zip(groups, advantages, strict=True)]
