"""Pixels in the object store: the driver and most actors hold references, models fetch the arrays."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ray import ObjectRef

from actors.waiting import fetched
from rl.types import Group

FETCH_TIMEOUT_S = 60.0


def without_pixels(group: Group) -> Group:
    """Return the group without its images, for whoever reads texts and numbers only."""
    return replace(group, prompt=replace(group.prompt, pixels=None))


def with_pixels(groups: Sequence[Group]) -> list[Group]:
    """Return the groups with their images fetched from the object store."""
    return [replace(group, prompt=replace(group.prompt, pixels=_pixels(group))) for group in groups]


def _pixels(group: Group) -> Any:
    pixels = group.prompt.pixels
    if isinstance(pixels, ObjectRef):
        return fetched(pixels, f"the images of sample {group.prompt.sample.id}", FETCH_TIMEOUT_S)
    return pixels
