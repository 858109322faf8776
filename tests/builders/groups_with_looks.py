"""Groups with looks: where their completions look."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from rl.types import Group, Look, Maps


def look(
    agreement: float = 0.5,
    weights: Sequence[float] = (0.0, 1.0, 0.0, 1.0),
    entropy: Sequence[float] = (),
    rdam: Sequence[Sequence[float]] = (),
    every: Sequence[Sequence[float]] = (),
) -> Look:
    """Make the look of a completion with a token for each weight, and maps if `rdam` is given."""
    values = np.array(rdam, np.float32)
    maps = Maps(rdam=values, every=np.array(every, np.float32) if len(every) else values) if len(rdam) else None
    return Look(
        relevance=(0.1,) * len(weights),
        entropy=tuple(entropy) or (0.5,) * len(weights),
        weights=tuple(weights),
        top=tuple(index for index, weight in enumerate(weights) if weight)[:3],
        supports=np.zeros((0, 1), np.uint8),
        shape=(len(rdam), len(rdam[0])) if len(rdam) else (2, 2),
        agreement=agreement,
        maps=maps,
    )


def looked(group: Group, *looks: Look, mask: Path | None = None) -> Group:
    """Add a look for each completion to the group, and a mask file to its sample."""
    sample = group.prompt.sample
    sample = replace(sample, target=replace(sample.target, mask=mask))
    return replace(group, prompt=replace(group.prompt, sample=sample), looks=looks)
