"""Localization metrics: the attention maps of held-out answers against the masks of the true defects."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from rl.data.images import open_mask, stated_size
from rl.evaluation.heat import resized
from rl.evaluation.pixels import PixelTally
from rl.roles import Metrics
from rl.types import NORMAL, Group, Look, Maps, Sample


def localization_metrics(groups: Sequence[Group], resize: str) -> Metrics:
    """Return pixel_auroc, pixel_aupr, pixel_aupro, pixel_f1_max and pixel_accuracy of the anomaly maps, where defined.

    pixel_auroc_all_tokens is the AUROC of the mean attention of all tokens that could be selected. A normal sample has
    no defective pixel; a defective sample without a mask is left out.
    """
    if not any(group.looks and group.prompt.sample.target.mask for group in groups):
        return {}
    selected, every = PixelTally(), PixelTally()
    for rdam, every_token, mask in _masked(groups):
        height, width = mask.shape
        selected.add(resized(rdam, (width, height), resize), mask)
        every.add(resized(every_token, (width, height), resize), mask)
    every_metrics = every.metrics()
    baseline = {"pixel_auroc_all_tokens": every_metrics["pixel_auroc"]} if "pixel_auroc" in every_metrics else {}
    return selected.metrics() | baseline


def true_mask(file: Path | None, sample: Sample) -> np.ndarray:
    """Return the mask in the file or, without a file, an empty mask of the size of the sample's inspected image."""
    if file:
        return open_mask(file)
    width, height = stated_size(sample.images[-1])
    return np.zeros((height, width), bool)


def greedy_maps(group: Group) -> Maps | None:
    """Return the maps of the group's greedy answer; None if they were not recorded."""
    return group.looks[0].maps if group.looks else None


def _masked(groups: Sequence[Group]) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield (mean map of the selected tokens, mean map of all tokens, mask) of each group with known defect pixels."""
    for group in groups:
        file, maps = group.prompt.sample.target.mask, greedy_maps(group)
        if maps and (file or group.prompt.target.label == NORMAL):
            yield mean_look(group.looks[0]), maps.every, true_mask(file, group.prompt.sample)


def mean_look(look: Look) -> np.ndarray:
    """Return the anomaly map divided by the sum of its weights, so that maps of few and many tokens compare (ours)."""
    assert look.maps
    return look.maps.rdam / np.float32(sum(look.weights) or 1.0)


def times_even(rdam: np.ndarray) -> np.ndarray:
    """Return an anomaly map in multiples of its mean: 1 everywhere if the attention is spread evenly over the image.

    So all images and steps share one scale, however many tokens were selected; without any, the map is 0 everywhere.

    >>> times_even(np.array([[0.5, 1.5]], np.float32)).tolist()
    [[0.5, 1.5]]
    """
    return rdam * np.float32(rdam.size / (rdam.sum() or 1.0))
