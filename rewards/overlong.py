"""Penalty of completions that are about to be cut off (DAPO's soft overlong punishment)."""

from dataclasses import dataclass

from rewards.answers.parse import Answer
from rewards.component import Component, ComponentConfig
from rewards.item import Item
from rl.config import key
from rl.faults import UserError


def overlong_penalty(num_tokens: int, max_tokens: int, buffer_tokens: int) -> float:
    """From 0 down to -1 over the last tokens before the limit.

    R = 0 if |y| ≤ L_max - L_cache; (L_max - L_cache - |y|) / L_cache if |y| ≤ L_max; else -1. All in tokens, R in
    [-1, 0].

    >>> [overlong_penalty(num_tokens, max_tokens=100, buffer_tokens=20) for num_tokens in (80, 85, 100, 101)]
    [0.0, -0.25, -1.0, -1.0]
    """
    if not 0 < buffer_tokens <= max_tokens:
        raise UserError(f"buffer_tokens must be from 1 to max_tokens={max_tokens}; got {buffer_tokens}")
    return 0.0 - min(1.0, max(0, num_tokens - (max_tokens - buffer_tokens)) / buffer_tokens)


@dataclass(kw_only=True)
class OverlongConfig(ComponentConfig):
    max_tokens: int = key(512, "From this length on the penalty is -1.", ge=1)
    buffer_tokens: int = key(128, "Tokens before that over which it grows from 0.", ge=1)


def _judge(item: Item, answer: Answer, options: OverlongConfig) -> float | None:
    if item.num_tokens is None:
        return None
    return overlong_penalty(item.num_tokens, options.max_tokens, options.buffer_tokens)


COMPONENT = Component(
    help="Penalty of answers about to be cut off, in [-1, 0] (DAPO).",
    judge=_judge,
    range=(-1.0, 0.0),
    options=OverlongConfig,
)
