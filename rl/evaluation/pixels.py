"""How well anomaly maps mark the defective pixels; memory does not grow with the number of images."""

import numpy as np
from scipy import ndimage

from rl.faults import UserError

FPR_LIMIT = 0.3
"""AUPRO counts the part of the curve up to this share of normal pixels marked."""
EIGHT_NEIGHBOURS = np.ones((3, 3))
MANTISSA_BITS = 13
"""Of a score that are kept: scores that differ by less than about 1e-4 of themselves may count as equal."""
_DROPPED_BITS = 23 - MANTISSA_BITS
_NUM_BINS = int(np.array(np.inf, np.float32).view(np.uint32)) >> _DROPPED_BITS


class PixelTally:
    """Counts the pixels of each score; what it computes from the counts is exact but for the bins' width."""

    def __init__(self) -> None:
        # Pages of zeros take no memory before something is counted in them.
        self._normal = np.zeros(_NUM_BINS, np.int64)
        self._defective = np.zeros(_NUM_BINS, np.int64)
        # The defective pixels again, each weighing 1 / pixels of its region.
        self._regions = np.zeros(_NUM_BINS)
        self._num_regions = 0

    def add(self, scores: np.ndarray, mask: np.ndarray) -> None:
        """Counts an image's scores ([h, w], float >= 0, higher is more anomalous) by its mask (bool [h, w])."""
        _check(scores, mask)
        bins = _bins(scores)
        regions, num_regions = ndimage.label(mask, structure=EIGHT_NEIGHBOURS)
        sizes = np.bincount(regions.ravel())
        _count(self._normal, bins[~mask], None)
        _count(self._defective, bins[mask], None)
        _count(self._regions, bins[mask], 1 / sizes[regions[mask]])
        self._num_regions += num_regions

    def metrics(self) -> dict[str, float]:
        """pixel_auroc, pixel_aupr, pixel_aupro, pixel_f1_max and pixel_accuracy, as far as defined.

        All of them need a defective pixel, AUROC and AUPRO a normal one too. AUPR is the average precision. Accuracy
        is taken at the threshold of F1-max (the highest one if several share it), which these same pixels chose.
        """
        used = np.flatnonzero(self._normal + self._defective)[::-1]
        false, found = np.cumsum(self._normal[used]), np.cumsum(self._defective[used])
        if not found.size or not found[-1]:
            return {}
        marked, num_normal, num_defective = false + found, int(false[-1]), int(found[-1])
        f1 = 2 * found / (marked + num_defective)
        best = int(np.argmax(f1))
        metrics = {
            "pixel_aupr": float(np.sum(np.diff(found, prepend=0) / num_defective * (found / marked))),
            "pixel_f1_max": float(f1[best]),
            "pixel_accuracy": float((found[best] + num_normal - false[best]) / (num_normal + num_defective)),
        }
        if num_normal:
            fpr = np.r_[0, false / num_normal]
            overlap = np.r_[0, np.cumsum(self._regions[used]) / self._num_regions]
            metrics["pixel_auroc"] = float(np.trapezoid(np.r_[0, found / num_defective], fpr))
            metrics["pixel_aupro"] = _area_up_to(FPR_LIMIT, fpr, overlap) / FPR_LIMIT
        return metrics


def _check(scores: np.ndarray, mask: np.ndarray) -> None:
    if mask.dtype != bool or mask.ndim != 2 or not mask.size:
        raise UserError(f"a mask must be bool [h, w] with pixels in it; got {mask.dtype} {list(mask.shape)}")
    if scores.shape != mask.shape:
        raise UserError(f"scores are {list(scores.shape)} and their mask {list(mask.shape)}; resize one to the other")
    low, high = float(scores.min()), float(scores.max())
    if not 0 <= low <= high <= float(np.finfo(np.float32).max):
        raise UserError(f"scores must be finite float32 numbers of at least 0; these reach from {low:g} to {high:g}")


def _bins(scores: np.ndarray) -> np.ndarray:
    """The upper bits of each score: as integers they order like the non-negative floats that they are."""
    # abs turns -0.0, whose sign bit would make it the largest, into 0.
    bits = np.abs(scores.astype(np.float32)).view(np.uint32)
    return (bits >> _DROPPED_BITS).astype(np.int64)


def _count(histogram: np.ndarray, bins: np.ndarray, weights: np.ndarray | None) -> None:
    if not bins.size:
        return
    first = int(bins.min())
    counts = np.bincount(bins - first, weights)
    used = np.flatnonzero(counts)
    histogram[first + used] += counts[used]


def _area_up_to(limit: float, x: np.ndarray, y: np.ndarray) -> float:
    """Below the curve from x = 0 to limit, where it is interpolated; x ascends to more than the limit."""
    after = int(np.searchsorted(x, limit, side="right"))
    share = (limit - x[after - 1]) / (x[after] - x[after - 1])
    at_limit = y[after - 1] + share * (y[after] - y[after - 1])
    return float(np.trapezoid(np.r_[y[:after], at_limit], np.r_[x[:after], limit]))
