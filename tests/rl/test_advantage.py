import pytest
from hypothesis import given
from hypothesis import strategies as st
from token_groups import bare_prompt, token_group

from rl.advantage import group_advantages
from rl.algorithm import AlgoConfig
from rl.types import Group


def scored(*totals: float | None) -> Group:
    return token_group(bare_prompt([1, 2]), [[3]] * len(totals), totals=totals)


def advantages(*groups: Group, **config: bool) -> list[tuple[float, ...]]:
    return [group.advantages for group in group_advantages(groups, AlgoConfig(**config))]


def test_an_advantage_is_the_distance_from_the_groups_mean_in_standard_deviations():
    # The mean of 3, 1, 2, 2 is 2; the sample's standard deviation is sqrt(2 / 3).
    deviation = (2 / 3) ** 0.5
    assert advantages(scored(3, 1, 2, 2))[0] == pytest.approx((1 / deviation, -1 / deviation, 0, 0), rel=1e-5)


def test_dr_grpo_leaves_the_standard_deviation_out():
    assert advantages(scored(3, 1, 2, 2), normalize_std=False)[0] == pytest.approx((1, -1, 0, 0))


def test_groups_are_compared_within_themselves_only():
    apart = advantages(scored(1, 0)) + advantages(scored(100, 300, 200))
    assert advantages(scored(1, 0), scored(100, 300, 200)) == apart


def test_a_group_without_contrast_teaches_nothing():
    assert advantages(scored(0.7, 0.7, 0.7))[0] == pytest.approx((0, 0, 0), abs=1e-8)


def test_an_unjudged_completion_has_advantage_0_and_does_not_move_the_others():
    judged = advantages(scored(3, 1, 2))[0]
    assert advantages(scored(3, None, 1, 2))[0] == (judged[0], 0.0, *judged[1:])


@pytest.mark.parametrize("totals", [(5.0, None, None), (None, None)])
def test_with_fewer_than_two_judged_completions_there_is_nothing_to_compare(totals):
    assert advantages(scored(*totals))[0] == (0.0,) * len(totals)


totals = st.lists(st.floats(-10, 10).map(lambda value: round(value, 3)), min_size=2, max_size=9)


@given(totals)
def test_advantages_of_a_group_sum_to_0_and_order_like_its_totals(values):
    found = advantages(scored(*values))[0]
    assert sum(found) == pytest.approx(0, abs=1e-6)
    for left, advantage in zip(values, found, strict=True):
        for right, other in zip(values, found, strict=True):
            assert not (left > right and advantage <= other)


@given(totals, st.floats(-5, 5))
def test_a_constant_added_to_every_total_changes_nothing(values, constant):
    shifted = advantages(scored(*(value + constant for value in values)))[0]
    assert shifted == pytest.approx(advantages(scored(*values))[0], abs=1e-4)
