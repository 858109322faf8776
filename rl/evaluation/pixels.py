"""Pixel metrics of anomaly maps against masks, in memory that does not grow with the number of images."""

import numpy as np
from scipy import ndimage

FPR_LIMIT = 0.3
"""False-positive rate up to which AUPRO counts the area under its curve."""
EIGHT_NEIGHBOURS = np.ones((3, 3))
MANTISSA_BITS = 13
"""Number of mantissa bits kept of a score; scores with a relative difference below about 1e-4 may count as equal."""
_DROPPED_BITS = 23 - MANTISSA_BITS
_NUM_BINS = int(np.array(np.inf, np.float32).view(np.uint32)) >> _DROPPED_BITS


class PixelTally:
    """Histograms of the pixels' scores; its metrics are exact up to the width of the bins."""

    def __init__(self) -> None:
        # np.zeros takes no memory for pages in which nothing has been counted.
        self._normal = np.zeros(_NUM_BINS, np.int64)
        self._defective = np.zeros(_NUM_BINS, np.int64)
        # The defective pixels, each with the weight 1 / (pixels of its region).
        self._regions = np.zeros(_NUM_BINS)
        self._num_regions = 0

    def add(self, scores: np.ndarray, mask: np.ndarray) -> None:
        """Count an image's scores ([h, w], float >= 0, higher is more anomalous) by its mask (bool [h, w])."""
        _check(scores, mask)
        bins = _bins(scores)
        regions, num_regions = ndimage.label(mask, structure=EIGHT_NEIGHBOURS)
        sizes = np.bincount(regions.ravel())
        _count(self._normal, bins[~mask], None)
        _count(self._defective, bins[mask], None)
        _count(self._regions, bins[mask], 1 / sizes[regions[mask]])
        self._num_regions += num_regions

    def metrics(self) -> dict[str, float]:
        """Return pixel_auroc, pixel_aupr, pixel_aupro, pixel_f1_max and pixel_accuracy, where defined.

        All of them need a defective pixel, AUROC and AUPRO a normal one too. AUPR is the average precision. Accuracy
        is taken at the threshold that maximises F1 on these same pixels (the highest such threshold).
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
        raise RuntimeError(f"a mask must be bool [h, w] with pixels in it; got {mask.dtype} {list(mask.shape)}")
    if scores.shape != mask.shape:
        raise RuntimeError(f"scores are {list(scores.shape)} and their mask {list(mask.shape)}")
    low, high = float(scores.min()), float(scores.max())
    if not 0 <= low <= high <= float(np.finfo(np.float32).max):
        raise RuntimeError(f"scores must be finite float32 numbers of at least 0; these reach from {low:g} to {high:g}")


def _bins(scores: np.ndarray) -> np.ndarray:
    """Return the upper bits of each score as integers, which order like the non-negative floats themselves."""
    # abs turns -0.0 into 0; its sign bit would make it the largest.
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
    """Return the area under the curve from x = 0 to `limit`, interpolated there; x ascends beyond the limit."""
    after = int(np.searchsorted(x, limit, side="right"))
    share = (limit - x[after - 1]) / (x[after] - x[after - 1])
    at_limit = y[after - 1] + share * (y[after] - y[after - 1])
    return float(np.trapezoid(np.r_[y[:after], at_limit], np.r_[x[:after], limit]))
