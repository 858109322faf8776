"""Penalty for completions close to the length limit or beyond it (DAPO's soft overlong punishment)."""

from dataclasses import dataclass

from rewards.answers.parse import Answer
from rewards.component import Component, ComponentConfig
from rewards.item import Item
from rl.config import key
from rl.faults import UserError


def overlong_penalty(num_tokens: int, max_tokens: int, buffer_tokens: int) -> float:
    """Return a penalty that falls from 0 to -1 over the last `buffer_tokens` before `max_tokens`.

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
    max_tokens: int = key(512, "Length in tokens from which on the penalty is -1.", ge=1)
    buffer_tokens: int = key(128, "Number of tokens before max_tokens over which the penalty falls from 0 to -1.", ge=1)


def _judge(item: Item, answer: Answer, options: OverlongConfig) -> float | None:
    if item.num_tokens is None:
        return None
    return overlong_penalty(item.num_tokens, options.max_tokens, options.buffer_tokens)


COMPONENT = Component(
    help="Penalty for answers close to the length limit, in [-1, 0] (DAPO).",
    judge=_judge,
    range=(-1.0, 0.0),
    options=OverlongConfig,
    needs=("num_tokens",),
)
