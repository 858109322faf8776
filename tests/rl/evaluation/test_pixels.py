import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from sklearn.metrics import average_precision_score, roc_auc_score

from rl.evaluation.pixels import PixelTally

KEYS = {"pixel_auroc", "pixel_aupr", "pixel_aupro", "pixel_f1_max", "pixel_accuracy"}
Images = list[tuple[np.ndarray, np.ndarray]]


def tallied(images: Images) -> dict[str, float]:
    tally = PixelTally()
    for scores, mask in images:
        tally.add(scores, mask)
    return tally.metrics()


def of_row(scores: list[float], mask: list[int]) -> dict[str, float]:
    return tallied([(np.array([scores]), np.array([mask], bool))])


def smooth_images(seed: int, num_images: int = 3) -> Images:
    """Return smooth maps, on average higher on the defective regions of their masks; every other image is normal."""
    rng = np.random.default_rng(seed)
    made = []
    for number in range(num_images):
        mask = ndimage.gaussian_filter(rng.standard_normal((40, 36)), 3) > (9 if number % 2 else 0.12)
        scores = np.exp(8 * ndimage.gaussian_filter(rng.standard_normal((40, 36)) + 0.5 * mask, 2))
        made.append((scores.astype(np.float32), mask))
    return made


def coarse_images(seed: int, num_levels: int = 5) -> Images:
    """Return small maps of few distinct values; the first has a defective and a normal pixel."""
    rng = np.random.default_rng(seed)
    levels = np.sort(rng.uniform(0, 3, num_levels)) * (1 + 0.01 * np.arange(num_levels))
    made = []
    for _ in range(3):
        mask = rng.random((9, 8)) < 0.3
        mask[0, :2] = True, False
        made.append((levels[np.minimum(rng.integers(0, num_levels, mask.shape) + mask, num_levels - 1)], mask))
    return made


def pooled(images: Images) -> tuple[np.ndarray, np.ndarray]:
    return np.concatenate([s.ravel() for s, _ in images]), np.concatenate([m.ravel() for _, m in images])


def flooded(mask: np.ndarray) -> list[list[tuple[int, int]]]:
    left = {(int(row), int(column)) for row, column in np.argwhere(mask)}
    regions = []
    while left:
        region, queue = [], [left.pop()]
        while queue:
            row, column = queue.pop()
            region.append((row, column))
            near = {(row + i, column + j) for i in (-1, 0, 1) for j in (-1, 0, 1)} & left
            left -= near
            queue += near
        regions.append(region)
    return regions


def aupro_by_thresholds(images: Images, limit: float = 0.3) -> float:
    scores, mask = pooled(images)
    regions = [[s[place] for place in region] for s, m in images for region in flooded(m)]
    curve = [(0.0, 0.0)]
    for threshold in np.unique(scores)[::-1]:
        overlaps = [np.mean([value >= threshold for value in region]) for region in regions]
        curve.append((float(np.mean(scores[~mask] >= threshold)), float(np.mean(overlaps))))
    area = 0.0
    for (x0, y0), (x1, y1) in zip(curve, curve[1:], strict=False):
        if x0 < limit < x1:
            x1, y1 = limit, y0 + (y1 - y0) * (limit - x0) / (x1 - x0)
        if x1 <= limit:
            area += (x1 - x0) * (y0 + y1) / 2
    return area / limit


def f1_and_accuracy_by_thresholds(images: Images) -> tuple[float, float]:
    scores, mask = pooled(images)
    best = (-1.0, 0.0)
    for threshold in np.unique(scores)[::-1]:
        said = scores >= threshold
        f1 = 2 * np.sum(said & mask) / (np.sum(said) + np.sum(mask))
        if f1 > best[0]:
            best = (float(f1), float(np.mean(said == mask)))
    return best


def references(images: Images) -> dict[str, float]:
    scores, mask = pooled(images)
    f1, accuracy = f1_and_accuracy_by_thresholds(images)
    return {
        "pixel_auroc": roc_auc_score(mask, scores),
        "pixel_aupr": average_precision_score(mask, scores),
        "pixel_aupro": aupro_by_thresholds(images),
        "pixel_f1_max": f1,
        "pixel_accuracy": accuracy,
    }


@pytest.mark.parametrize("seed", range(3))
def test_smooth_maps_score_as_with_every_threshold_to_a_thousandth(seed: int) -> None:
    images = smooth_images(seed)
    metrics = tallied(images)
    assert metrics == pytest.approx(references(images), abs=1e-3)
    assert 0.6 < metrics["pixel_auroc"] < 0.99


@given(st.integers(0, 10_000), st.integers(1, 8))
@settings(max_examples=60, deadline=None)
def test_maps_of_few_values_score_exactly_as_with_every_threshold(seed: int, num_levels: int) -> None:
    images = coarse_images(seed, num_levels)
    assert tallied(images) == pytest.approx(references(images), abs=1e-9)


def test_a_row_of_pixels_by_hand() -> None:
    # Descending: one defective, one normal, one defective, two normal.
    metrics = of_row([0.9, 0.8, 0.7, 0.2, 0.1], [1, 0, 1, 0, 0])
    assert metrics == pytest.approx(
        {
            "pixel_auroc": 5 / 6,
            "pixel_aupr": 0.5 * 1 + 0.5 * 2 / 3,
            "pixel_aupro": 0.5,  # One of the two regions is found before the false positive rate leaves 0 for 1/3.
            "pixel_f1_max": 2 * 2 / (3 + 2),
            "pixel_accuracy": 4 / 5,
        }
    )


def test_small_regions_count_as_much_as_large_ones_and_corners_connect() -> None:
    # A large region that is found at once, and a diagonal of two pixels found last: half of the regions, not 9 of 11.
    mask = np.zeros((8, 8), bool)
    mask[:3, :3] = True
    mask[6, 6] = mask[7, 7] = True
    scores = np.full((8, 8), 1.0)
    scores[:3, :3] = 2
    scores[6, 6] = scores[7, 7] = 0
    # One threshold step takes the false positive rate from 0 to 1 at an overlap of 1/2; the last adds nothing.
    assert tallied([(scores, mask)])["pixel_aupro"] == pytest.approx(0.5)


def test_the_curve_is_interpolated_at_the_limit() -> None:
    # All pixels share a score: the curve is the diagonal, its area up to 0.3 is 0.045.
    assert of_row([1.0] * 4, [1, 0, 0, 0])["pixel_aupro"] == pytest.approx(0.045 / 0.3)


def test_a_map_without_contrast_ranks_at_chance() -> None:
    metrics = of_row([0.4] * 5, [1, 0, 0, 1, 0])
    assert metrics["pixel_auroc"] == 0.5
    assert metrics["pixel_aupr"] == pytest.approx(2 / 5)


@pytest.mark.parametrize(
    "low,high", [(0.0, 1.0), (0.0, 1e-20), (1e-20, 2e-20), (1e6, 1.001e6), (40.0, 70.0), (0, 3e38)]
)
def test_perfect_maps_score_one_whatever_their_range(low: float, high: float) -> None:
    mask = np.pad(np.ones((4, 5), bool), 6)
    images = [(np.where(mask, high, low), mask), (np.full((3, 3), low), np.zeros((3, 3), bool))]
    assert tallied(images) == pytest.approx(dict.fromkeys(KEYS, 1.0))


def test_separable_scores_above_one_are_not_squashed_together() -> None:
    rng = np.random.default_rng(0)
    mask = np.tile(np.arange(30) % 3 == 0, (20, 1))
    scores = np.where(mask, rng.uniform(56, 70, mask.shape), rng.uniform(40, 55, mask.shape))
    assert tallied([(scores, mask)]) == pytest.approx(dict.fromkeys(KEYS, 1.0))


def test_an_inverted_map_scores_worst() -> None:
    metrics = of_row([0.1, 0.2, 0.9, 0.8], [1, 1, 0, 0])
    assert (metrics["pixel_auroc"], metrics["pixel_aupro"]) == (0, 0)


def test_a_negative_zero_is_a_zero() -> None:
    assert of_row([-0.0, 0.0, 1.0], [0, 0, 1])["pixel_auroc"] == 1
    assert of_row([-0.0, 0.0], [0, 1])["pixel_auroc"] == 0.5


def test_of_several_best_thresholds_accuracy_takes_the_highest() -> None:
    # F1 is 2/3 with the first pixel alone (accuracy 4/5) and with the first four (accuracy 3/5).
    metrics = of_row([0.9, 0.8, 0.7, 0.6, 0.1], [1, 0, 0, 1, 0])
    assert metrics["pixel_f1_max"] == pytest.approx(2 / 3)
    assert metrics["pixel_accuracy"] == pytest.approx(4 / 5)


@given(st.integers(0, 10_000), st.permutations(range(3)))
@settings(max_examples=25, deadline=None)
def test_the_order_of_images_does_not_matter(seed: int, order: list[int]) -> None:
    images = smooth_images(seed)
    images[0][1][0, :2] = True, False
    assert tallied([images[i] for i in order]) == pytest.approx(tallied(images), abs=1e-12)


@given(st.integers(0, 10_000), st.lists(st.integers(1, 8), max_size=4))
@settings(max_examples=40, deadline=None)
def test_the_same_pixels_in_other_images_score_the_same(seed: int, cuts: list[int]) -> None:
    # Cut only along normal rows, so that no region is cut apart.
    images = coarse_images(seed)
    for _, mask in images:
        mask[cuts] = False
    borders = sorted(set(cuts))
    parts = [
        pair for scores, mask in images for pair in zip(np.split(scores, borders), np.split(mask, borders), strict=True)
    ]
    assert tallied(parts) == pytest.approx(tallied(images), abs=1e-12)


@given(st.integers(0, 10_000), st.integers(-60, 60))
@settings(max_examples=25, deadline=None)
def test_scaling_the_scores_by_a_power_of_two_changes_nothing(seed: int, exponent: int) -> None:
    images = smooth_images(seed)
    images[0][1][0, :2] = True, False
    scaled = [(scores * np.float32(2.0**exponent), mask) for scores, mask in images]
    assert tallied(scaled) == tallied(images)


def test_undefined_metrics_are_left_out() -> None:
    assert PixelTally().metrics() == {}
    assert of_row([0.1, 0.9], [0, 0]) == {}
    only_defective = of_row([0.1, 0.9], [1, 1])
    assert only_defective == {"pixel_aupr": 1, "pixel_f1_max": 1, "pixel_accuracy": 1}


@pytest.mark.parametrize("value", [-0.1, np.nan, np.inf, 1e39])
def test_scores_that_are_no_finite_numbers_of_at_least_zero_are_refused(value: float) -> None:
    with pytest.raises(RuntimeError, match="at least 0"):
        of_row([0.5, value], [0, 1])


def test_a_mask_of_another_shape_or_kind_is_refused() -> None:
    with pytest.raises(RuntimeError, match=r"scores are \[2, 3\] and their mask \[3, 2\]"):
        PixelTally().add(np.zeros((2, 3)), np.zeros((3, 2), bool))
    with pytest.raises(RuntimeError, match="must be bool"):
        PixelTally().add(np.zeros((2, 3)), np.zeros((2, 3), np.uint8))


def test_a_refused_image_leaves_the_counts_as_they_were() -> None:
    images = coarse_images(1)
    tally = PixelTally()
    for scores, mask in images:
        tally.add(scores, mask)
        with pytest.raises(RuntimeError, match="at least 0"):
            tally.add(-1 - scores, mask)
    assert tally.metrics() == tallied(images)


def nbytes(tally: PixelTally) -> int:
    return sum(value.nbytes if isinstance(value, np.ndarray) else value.__sizeof__() for value in vars(tally).values())


def test_three_hundred_images_take_no_more_memory_than_one() -> None:
    tally, images = PixelTally(), smooth_images(0)
    tally.add(*images[0])
    before = nbytes(tally)
    for number in range(300):
        tally.add(*images[number % 3])
    assert before <= nbytes(tally) <= before + 64
    assert set(tally.metrics()) == KEYS
