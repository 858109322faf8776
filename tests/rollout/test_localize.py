import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.metrics import roc_auc_score

from rollout.config import Cut, LocalizeConfig, Selection
from rollout.localize import (
    Attention,
    agreement,
    curvature,
    cut,
    look,
    normalized,
    spatial_entropy,
    supports,
    token_weights,
)

SIDE = 12
DEFECT = (slice(2, 5), slice(7, 10))
MAPS = arrays.arrays(np.float64, st.tuples(st.integers(1, 4), st.just(5), st.just(5)), elements=st.floats(0, 1))


def blobs(*places: tuple[int, int], mass: float = 1.0, side: int = SIDE) -> np.ndarray:
    """A dark map with 2x2 blobs of the same mass at these places."""
    values = np.zeros((side, side))
    for row, column in places:
        values[row : row + 2, column : column + 2] = mass / 4
    return values


def support(values: list[float], percentile: float) -> set[int]:
    """The places above the percentile, by its definition: linear between the two nearest of the sorted values."""
    rank = percentile / 100 * (len(values) - 1)
    low, high = sorted(values)[int(rank)], sorted(values)[min(int(rank) + 1, len(values) - 1)]
    threshold = low + (high - low) * (rank - int(rank))
    return {place for place, value in enumerate(values) if value > threshold + 1e-12}


@given(MAPS, st.sampled_from([50.0, 90.0, 95.0]))
def test_agreement_is_the_jaccard_index_of_what_lies_above_the_percentile(maps: np.ndarray, percentile: float) -> None:
    maps = maps.round(3)
    looked_at = [support(values.ravel().tolist(), percentile) for values in maps]
    anywhere = set.union(*looked_at)
    expected = len(set.intersection(*looked_at)) / len(anywhere) if anywhere else 0
    assert agreement(supports(maps, percentile)) == pytest.approx(expected)


def test_the_percentile_is_that_of_each_map() -> None:
    weak = np.arange(25.0).reshape(5, 5)
    assert agreement(supports(np.stack([weak, 1000 * weak]))) == 1


def test_one_token_agrees_with_itself_and_even_maps_agree_on_nothing() -> None:
    assert agreement(supports(np.arange(25.0).reshape(1, 5, 5))) == 1
    assert agreement(supports(np.ones((3, 5, 5)))) == 0


@pytest.mark.parametrize("maps", [np.ones((5, 5)), np.full((1, 5, 5), np.nan)])
def test_maps_of_another_shape_or_without_values_raise(maps: np.ndarray) -> None:
    with pytest.raises(AssertionError, match="no finite"):
        supports(maps)


@pytest.mark.parametrize("deviations", [0.0, 1.0, 2.0])
def test_one_blob_has_no_entropy_two_equal_ones_log_2_four_log_4(deviations: float) -> None:
    one, two = blobs((1, 1)), blobs((1, 1), (8, 8))
    four = blobs((1, 1), (1, 8), (8, 1), (8, 8))
    assert spatial_entropy(np.stack([one, two, four]), deviations) == pytest.approx([0, math.log(2), math.log(4)])


def test_a_blob_is_held_together_by_corners_but_not_by_the_map_beside_it() -> None:
    corner = np.zeros((4, 4))
    corner[0, 0] = corner[1, 1] = 1
    assert spatial_entropy(np.stack([corner, corner, corner])) == pytest.approx([0, 0, 0])


def test_shares_of_the_attention_weigh_not_counts_of_places() -> None:
    uneven = blobs((1, 1), mass=3) + blobs((8, 8), mass=1)
    assert spatial_entropy(uneven[None])[0] == pytest.approx(-(0.75 * math.log(0.75) + 0.25 * math.log(0.25)))


def test_an_even_look_is_as_scattered_as_can_be_and_noise_more_than_blobs() -> None:
    noise = np.random.default_rng(0).random((SIDE, SIDE))
    even, noisy, two = spatial_entropy(np.stack([np.full((SIDE, SIDE), 0.1), noise, blobs((1, 1), (8, 8))]))
    assert even == pytest.approx(math.log(SIDE**2))
    assert two < noisy < even


def test_at_the_mean_noise_runs_together_into_one_blob() -> None:
    noise = np.random.default_rng(0).random((20, SIDE, SIDE))
    at_mean, above = spatial_entropy(noise, 0.0), spatial_entropy(noise)
    assert np.median(at_mean) < math.log(2) < above.min()


@given(MAPS, st.floats(0.001, 1000))
def test_the_entropy_does_not_change_with_the_amount_of_attention(maps: np.ndarray, factor: float) -> None:
    maps = maps.round(2) + 0.01
    assert spatial_entropy(maps * factor) == pytest.approx(spatial_entropy(maps), abs=1e-6)


def test_a_curve_bends_most_at_its_corner() -> None:
    corner = np.concatenate([np.linspace(0, 0.1, 8), np.linspace(0.1, 1, 5)[1:]])
    assert curvature(corner).argmax() == 7
    assert cut(corner, Cut.curvature) == cut(corner, Cut.chord) == pytest.approx(0.1)
    assert cut(corner, Cut.median) == pytest.approx(np.median(corner))


def test_the_curvature_is_that_of_the_curve() -> None:
    x = np.linspace(0, 1, 401)
    expected = 2 / (1 + 4 * x**2) ** 1.5
    assert curvature(x**2)[1:-1] == pytest.approx(expected[1:-1], rel=1e-3)


def test_a_little_noise_moves_the_chords_threshold_little() -> None:
    rng = np.random.default_rng(0)
    scores = [normalized(rng.gamma(2.0, size=100)) for _ in range(50)]
    moved = {kind: [abs(cut(each, kind) - cut(each + 1e-3 * rng.random(100), kind)) for each in scores] for kind in Cut}
    assert max(moved[Cut.chord]) < 0.1 and max(moved[Cut.median]) < 0.01
    # Differences of neighbouring scores, of which noise is a large part.
    assert max(moved[Cut.curvature]) > 0.3


def test_only_the_tokens_of_the_reasoning_are_compared_and_selected() -> None:
    maps = np.stack([blobs((1, 1)), blobs((8, 8)), blobs((1, 8)), blobs((5, 5))])
    relevance = np.array([9.0, 1.0, 2.0, 9.0])
    found = look(Attention(maps=maps, relevance=relevance, reasoning=(1, 3)), LocalizeConfig(), with_maps=True)
    assert found.weights == (0.0, 0.0, 1.0, 0.0) and found.top == (2,)
    assert len(found.entropy) == len(found.relevance) == 4
    assert found.maps.rdam == pytest.approx(maps[2]) and found.maps.every == pytest.approx(maps[1:3].mean(0))


def test_a_threshold_never_rejects_everybody() -> None:
    assert cut(np.array([0.0, 1.0, 1.0, 1.0]), Cut.median) == 0
    assert cut(np.ones(5), Cut.curvature) < 1
    assert normalized(np.full(3, 0.2)).tolist() == [1, 1, 1]


@given(arrays.arrays(np.float64, st.integers(1, 40), elements=st.floats(0, 1)), st.sampled_from(list(Cut)))
def test_some_token_is_above_every_threshold(values: np.ndarray, kind: Cut) -> None:
    scores = normalized(values)
    assert (scores > cut(scores, kind)).any()


def test_a_token_weighs_the_mean_of_its_scores_where_both_are_high() -> None:
    relevance, entropy = np.array([0.0, 1.0, 3.0, 4.0]), np.array([0.0, 2.0, 1.0, 0.0])
    config = LocalizeConfig(entropy_cut=Cut.median)
    # Relevant are 3/4 and 1 (median 1/2), focused 1, 0, 1/2 and 1 (median 3/4).
    assert token_weights(relevance, entropy, config).tolist() == [0, 0, 0, 1]
    only = LocalizeConfig(selection=Selection.relevance)
    assert token_weights(relevance, entropy, only).tolist() == [0, 0, 0.75, 1]
    focused = LocalizeConfig(selection=Selection.entropy, entropy_cut=Cut.median)
    assert token_weights(relevance, entropy, focused).tolist() == [1, 0, 0, 1]
    assert token_weights(relevance, entropy, LocalizeConfig(selection=Selection.all)).tolist() == [1, 1, 1, 1]
    heavier = LocalizeConfig(alpha=0.5, beta=2.0, entropy_cut=Cut.median)
    assert token_weights(relevance, entropy, heavier)[3] == pytest.approx(2.5)


def planted(seed: int = 0) -> Attention:
    """A response of which few tokens name the defect and look at it.

    Others name it and look around, look at one wrong place without naming it, or do neither.
    """
    rng = np.random.default_rng(seed)
    noise = 0.002 * rng.random((40, SIDE, SIDE))
    relevance = 0.01 * rng.random(40)
    maps = noise.copy()
    maps[:6][:, *DEFECT] += 0.05
    relevance[:6] += 0.2
    relevance[6:14] += 0.2
    for token in range(14, 28):
        maps[token] += blobs((9, 1 + token % 3), mass=0.4)
    return Attention(maps=maps, relevance=relevance)


def area(attention: Attention, **config: object) -> float:
    mask = np.zeros((SIDE, SIDE), bool)
    mask[DEFECT] = True
    maps = look(attention, LocalizeConfig(**config), with_maps=True).maps
    return float(roc_auc_score(mask.ravel(), maps.rdam.ravel()))


@pytest.mark.parametrize("seed", range(5))
def test_the_planted_defect_is_found_and_each_ablation_finds_less(seed: int) -> None:
    attention = planted(seed)
    both, relevance = area(attention), area(attention, selection=Selection.relevance)
    entropy, every = (area(attention, selection=kind) for kind in (Selection.entropy, Selection.all))
    assert both >= 0.99
    # Relevant tokens that look around only add noise; focused ones that are not relevant show the wrong place.
    assert both >= relevance >= 0.99 and relevance > entropy and both > every


def test_the_top_tokens_of_the_planted_response_agree_on_the_defect() -> None:
    found = look(planted(), LocalizeConfig(percentile=93.0), with_maps=False)
    assert set(found.top) <= set(range(6)) and len(found.top) == 3
    assert found.maps is None and found.shape == (SIDE, SIDE)
    seen = np.unpackbits(found.supports, axis=1, count=SIDE**2).reshape(-1, SIDE, SIDE).astype(bool)
    assert seen.all(axis=0)[DEFECT].mean() > 0.9
    assert found.agreement > 0.5


def test_fewer_selected_tokens_than_asked_for_are_used_and_none_agree_on_nothing() -> None:
    maps = np.stack([blobs((1, 1))] * 2)
    few = look(Attention(maps=maps, relevance=np.array([0.0, 1.0])), LocalizeConfig(), with_maps=False)
    assert few.top == (1,) and few.agreement == 1
    nobody = look(Attention(maps=maps, relevance=np.array([0.0, 1.0])), LocalizeConfig(alpha=0, beta=0), with_maps=True)
    assert nobody.top == () and nobody.agreement == 0 and not nobody.maps.rdam.any()


def test_the_map_of_every_token_is_the_ablation_that_selects_all() -> None:
    reasoning = replace(planted(), reasoning=(4, 30))
    every = look(reasoning, LocalizeConfig(), with_maps=True).maps.every
    all_selected = look(reasoning, LocalizeConfig(selection=Selection.all), with_maps=True)
    assert every == pytest.approx(all_selected.maps.rdam / sum(all_selected.weights))


def test_a_single_token_is_its_own_response() -> None:
    one = look(Attention(maps=blobs((1, 1))[None], relevance=np.array([0.3])), LocalizeConfig(), with_maps=True)
    assert one.top == (0,) and one.weights == (1.0,)
    assert one.maps.rdam == pytest.approx(one.maps.every)
