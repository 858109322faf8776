"""A reward function of a user's that prints, for runs that start real reward workers."""

from collections.abc import Sequence
from typing import Any


def talks(prompts: Sequence[str], completions: Sequence[str], **columns: Any) -> list[float]:
    print(f"{len(completions)} answers to {columns['id'][0]}")
    return [1.0] * len(completions)
