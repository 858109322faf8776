import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from rewards.consistency import agreement, consistency_reward
from rl.types import Target

MAPS = arrays.arrays(np.float64, st.tuples(st.integers(1, 4), st.just(5), st.just(5)), elements=st.floats(0, 1))


def support(values: list[float], percentile: float) -> set[int]:
    """The places above the percentile, by its definition: linear between the two nearest of the sorted values."""
    rank = percentile / 100 * (len(values) - 1)
    low, high = sorted(values)[int(rank)], sorted(values)[min(int(rank) + 1, len(values) - 1)]
    threshold = low + (high - low) * (rank - int(rank))
    return {place for place, value in enumerate(values) if value > threshold + 1e-12}


@given(MAPS, st.sampled_from([50.0, 90.0, 95.0]))
def test_agreement_is_the_jaccard_index_of_what_lies_above_the_percentile(maps: np.ndarray, percentile: float) -> None:
    maps = maps.round(3)
    supports = [support(values.ravel().tolist(), percentile) for values in maps]
    anywhere = set.union(*supports)
    expected = len(set.intersection(*supports)) / len(anywhere) if anywhere else 0
    assert agreement(maps, percentile) == pytest.approx(expected)


def test_the_percentile_is_that_of_each_map() -> None:
    weak = np.arange(25.0).reshape(5, 5)
    assert agreement(np.stack([weak, 1000 * weak])) == 1


def test_one_token_agrees_with_itself_and_even_maps_agree_on_nothing() -> None:
    assert agreement(np.arange(25.0).reshape(1, 5, 5)) == 1
    assert agreement(np.ones((3, 5, 5))) == 0


def test_without_a_label_there_is_nothing_to_judge_by() -> None:
    assert consistency_reward(np.ones((3, 5, 5)), Target(label="")) is None


@pytest.mark.parametrize("maps", [np.ones((5, 5)), np.full((1, 5, 5), np.nan)])
def test_maps_of_another_shape_or_without_values_raise(maps: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"maps must be finite numbers of shape \[tokens, P, P\]"):
        agreement(maps)
