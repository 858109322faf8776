"""The groups of a rollout worker's stream."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from rl.types import Group


def groups_of(stream: Iterable[Any]) -> dict[int, Group]:
    """Return each group by the index of its sample, with the pixels that follow it in the stream."""
    items = iter(stream)
    return {index: replace(group, prompt=replace(group.prompt, pixels=next(items))) for index, group in items}
