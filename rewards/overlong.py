"""Penalty of completions that are about to be cut off (DAPO's soft overlong punishment)."""


def overlong_penalty(num_tokens: int, max_tokens: int, buffer_tokens: int) -> float:
    """From 0 down to -1 over the last tokens before the limit.

    R = 0 if |y| ≤ L_max - L_cache; (L_max - L_cache - |y|) / L_cache if |y| ≤ L_max; else -1. All in tokens, R in
    [-1, 0].

    >>> [overlong_penalty(num_tokens, max_tokens=100, buffer_tokens=20) for num_tokens in (80, 85, 100, 101)]
    [0.0, -0.25, -1.0, -1.0]
    """
    if not 0 < buffer_tokens <= max_tokens:
        raise ValueError(f"buffer_tokens must be from 1 to max_tokens={max_tokens}; got {buffer_tokens}")
    return 0.0 - min(1.0, max(0, num_tokens - (max_tokens - buffer_tokens)) / buffer_tokens)
