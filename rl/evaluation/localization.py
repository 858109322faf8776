"""How well the maps of held-out answers mark the defects, against masks."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from rl.data.images import open_mask, stated_size
from rl.evaluation.heat import resized
from rl.evaluation.pixels import PixelTally
from rl.roles import Metrics
from rl.types import Group, Look, Maps, Sample


def localization_metrics(groups: Sequence[Group], resize: str) -> Metrics:
    """pixel_auroc, pixel_aupr, pixel_aupro, pixel_f1_max, pixel_accuracy of the anomaly maps, as far as defined.

    And pixel_auroc_all_tokens, that of the mean attention of all tokens that could be selected. A normal sample has no
    defective pixel; a defective one without a mask tells nothing and is left out.
    """
    if not any(group.looks and group.prompt.sample.target.mask for group in groups):
        return {}
    selected, every = PixelTally(), PixelTally()
    for rdam, every_token, mask in _masked(groups):
        height, width = mask.shape
        selected.add(resized(rdam, (width, height), resize), mask)
        every.add(resized(every_token, (width, height), resize), mask)
    of_all = every.metrics()
    unselected = {"pixel_auroc_all_tokens": of_all["pixel_auroc"]} if "pixel_auroc" in of_all else {}
    return selected.metrics() | unselected


def true_mask(file: Path | None, sample: Sample) -> np.ndarray:
    """The mask in the file, or no defect anywhere in the sample's image; both as large as their files."""
    if file:
        return open_mask(file)
    width, height = stated_size(sample.images[-1])
    return np.zeros((height, width), bool)


def greedy_maps(group: Group) -> Maps | None:
    """Those of the greedy answer, None where nobody asked for them."""
    return group.looks[0].maps if group.looks else None


def _masked(groups: Sequence[Group]) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """The mean looks of the selected tokens and of all of each answer whose truth is known to the pixel; its mask."""
    for group in groups:
        file, maps = group.prompt.sample.target.mask, greedy_maps(group)
        if maps and (file or group.prompt.target.label == "normal"):
            yield mean_look(group.looks[0]), maps.every, true_mask(file, group.prompt.sample)


def mean_look(look: Look) -> np.ndarray:
    """The anomaly map divided by the sum of its weights (ours): answers of many and of few selected tokens compare."""
    assert look.maps
    return look.maps.rdam / np.float32(sum(look.weights) or 1.0)


def times_even(rdam: np.ndarray) -> np.ndarray:
    """An anomaly map in multiples of what each place had if the same attention were spread evenly over the image.

    One scale for all images and steps, however many tokens were selected. 0 everywhere where none was.

    >>> times_even(np.array([[0.5, 1.5]], np.float32)).tolist()
    [[0.5, 1.5]]
    """
    return rdam * np.float32(rdam.size / (rdam.sum() or 1.0))
