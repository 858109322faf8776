import doctest
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

import rl.advantage
from builders.token_groups import bare_prompt, token_group
from rl.advantage import group_advantages
from rl.algorithm import AlgoConfig, Baseline, BatchNorm
from rl.types import Group, Score


def scored(*totals: float | None) -> Group:
    return token_group(bare_prompt([1, 2]), [[3]] * len(totals), totals=totals)


def advantages(*groups: Group, weights: Mapping[str, float] | None = None, **config: object) -> list[tuple[float, ...]]:
    return [group.advantages for group in group_advantages(groups, AlgoConfig(**config), weights)]


def with_components(totals: Sequence[float | None], **components: Sequence[float | None]) -> Group:
    scores = tuple(
        Score(total=total, components={name: values[index] for name, values in components.items()})
        for index, total in enumerate(totals)
    )
    return replace(scored(*totals), scores=scores)


def of_lengths(lengths: Sequence[int], *totals: float | None) -> Group:
    return token_group(bare_prompt([1, 2]), [[3] * length for length in lengths], totals=totals)


WITHIN_GROUPS = [
    {"baseline": baseline, "normalize_std": normalized} for baseline in Baseline for normalized in (True, False)
]
RLOO = {"baseline": Baseline.leave_one_out, "normalize_std": False}
REINFORCE_PP = {"normalize_std": False, "normalize_batch": BatchNorm.tokens}
GDPO = {"normalize_components": True, "normalize_batch": BatchNorm.completions}


def test_the_examples_hold():
    assert doctest.testmod(rl.advantage) == (0, 3)


def test_an_advantage_is_the_distance_from_the_groups_mean_in_standard_deviations():
    # The mean of 3, 1, 2, 2 is 2; the sample's standard deviation is sqrt(2 / 3).
    deviation = (2 / 3) ** 0.5
    assert advantages(scored(3, 1, 2, 2))[0] == pytest.approx((1 / deviation, -1 / deviation, 0, 0), rel=1e-5)


def test_dr_grpo_leaves_the_standard_deviation_out():
    assert advantages(scored(3, 1, 2, 2), normalize_std=False)[0] == pytest.approx((1, -1, 0, 0))


def test_groups_are_compared_within_themselves_only():
    apart = advantages(scored(1, 0)) + advantages(scored(100, 300, 200))
    assert advantages(scored(1, 0), scored(100, 300, 200)) == apart


@pytest.mark.parametrize("variant", [*WITHIN_GROUPS, GDPO, {"normalize_batch": BatchNorm.completions}])
@pytest.mark.parametrize("value", [0.7, 0.0, -1.1])
def test_a_group_without_contrast_has_advantages_of_0(variant, value):
    groups = [with_components((total,) * 3, box=(total,) * 3) for total in (value, 0.4)]
    contrast = with_components((1.0, 0.0, 0.3), box=(1.0, 0.0, 0.3))
    for found in (
        advantages(*groups, weights={"box": 1.0}, **variant)
        + advantages(groups[0], contrast, weights={"box": 1.0}, **variant)[:1]
    ):
        assert found == pytest.approx((0, 0, 0), abs=1e-6)


def test_over_tokens_a_group_without_contrast_gets_only_the_shift_of_the_mean():
    # Over 2 + 1 tokens the mean of 1 and -1 is 1/3; over all five, 1/5.
    found = advantages(of_lengths([2, 1], 1, -1), of_lengths([1, 1], 4, 4), **REINFORCE_PP)
    deviation = ((2 * (1 - 0.2) ** 2 + (-1 - 0.2) ** 2 + 2 * 0.2**2) / 4) ** 0.5
    assert found[0] == pytest.approx((0.8 / deviation, -1.2 / deviation))
    assert found[1] == pytest.approx((-0.2 / deviation, -0.2 / deviation))


@pytest.mark.parametrize("variant", [*WITHIN_GROUPS, REINFORCE_PP, GDPO])
def test_an_unjudged_completion_has_advantage_0_and_does_not_move_the_others(variant):
    weights = {"box": 1.0}
    other = with_components((1.0, 0.0), box=(0.0, 1.0))
    judged = with_components((3.0, 1.0, 2.0), box=(3.0, 1.0, 2.0))
    gap = with_components((3.0, None, 1.0, 2.0), box=(3.0, None, 1.0, 2.0))
    alone = with_components((5.0, None), box=(5.0, None))
    expected = advantages(judged, other, weights=weights, **variant)
    found = advantages(gap, alone, other, weights=weights, **variant)
    assert found == [(expected[0][0], 0.0, *expected[0][1:]), (0.0, 0.0), expected[1]]


@pytest.mark.parametrize("variant", [{}, RLOO, REINFORCE_PP, GDPO])
@pytest.mark.parametrize("totals", [(5.0, None, None), (None, None)])
def test_with_fewer_than_two_judged_completions_there_is_nothing_to_compare(totals, variant):
    group = with_components(totals, box=totals)
    assert advantages(group, weights={"box": 1.0}, **variant)[0] == (0.0,) * len(totals)


def test_rloo_compares_a_completion_with_the_mean_of_the_others():
    # 3 against (1 + 2 + 2) / 3, 1 against (3 + 2 + 2) / 3, 2 against (3 + 1 + 2) / 3.
    assert advantages(scored(3, 1, 2, 2), **RLOO)[0] == pytest.approx((4 / 3, -4 / 3, 0, 0))


def test_reinforce_pp_divides_by_the_standard_deviation_of_the_batchs_tokens():
    # Distances 1, -1 | 2, -2 of one token each: mean 0, variance 10 / 3.
    found = advantages(scored(2, 0), scored(5, 1), **REINFORCE_PP)
    deviation = (10 / 3) ** 0.5
    assert found == [pytest.approx((1 / deviation, -1 / deviation)), pytest.approx((2 / deviation, -2 / deviation))]


def test_gdpo_gives_a_component_its_weight_whatever_its_spread():
    # Accuracy 10 or 0, format 0.1 or 0: as a total, format is a hundredth; on its own, half of accuracy by its weight.
    group = with_components((10.1, 10.0, 0.1, 0.0), accuracy=(10, 10, 0, 0), format=(0.1, 0.0, 0.1, 0.0))
    weights = {"accuracy": 1.0, "format": 0.5, "measured": 0.0}
    plain = advantages(group)[0]
    normalized = advantages(group, weights=weights, normalize_components=True)[0]
    assert plain[0] - plain[1] == pytest.approx((plain[0] - plain[2]) / 100, rel=1e-4)
    assert normalized[0] - normalized[1] == pytest.approx((normalized[0] - normalized[2]) / 2, rel=1e-4)


def test_gdpo_of_one_component_is_grpo_whitened_over_the_batch():
    groups = [with_components(totals, box=totals) for totals in ((1.0, 0.0, 0.5), (2.0, 7.0))]
    assert advantages(*groups, weights={"box": 3.0}, **GDPO) == [
        pytest.approx(values, abs=1e-6) for values in advantages(*groups, normalize_batch=BatchNorm.completions)
    ]


@pytest.mark.parametrize("weights", [None, {}, {"box": 0.0}])
def test_comparing_components_without_weights_is_refused(weights):
    with pytest.raises(ValueError, match="normalize_components"):
        advantages(with_components((1.0, 0.0), box=(1.0, 0.0)), weights=weights, normalize_components=True)


def test_weighted_components_may_be_unjudged_where_the_total_is():
    unjudged = with_components((1.0, None, 0.0), box=(1.0, None, 0.0), measured=(None, None, None))
    found = advantages(unjudged, weights={"box": 1.0, "measured": 0.0}, normalize_components=True)[0]
    assert found == pytest.approx((0.5**0.5, 0, -(0.5**0.5)), rel=1e-5)


totals = st.lists(st.floats(-10, 10).map(lambda value: round(value, 3)), min_size=2, max_size=9)


variants = st.sampled_from(WITHIN_GROUPS)


@given(totals, variants)
def test_advantages_of_a_group_sum_to_0_and_order_like_its_totals(values, variant):
    found = advantages(scored(*values), **variant)[0]
    assert sum(found) == pytest.approx(0, abs=1e-6)
    for left, advantage in zip(values, found, strict=True):
        for right, other in zip(values, found, strict=True):
            assert not (left > right and advantage <= other)


@given(totals, st.floats(-5, 5), variants)
def test_a_constant_added_to_every_total_changes_nothing(values, constant, variant):
    shifted = advantages(scored(*(value + constant for value in values)), **variant)[0]
    assert shifted == pytest.approx(advantages(scored(*values), **variant)[0], abs=1e-4)


@given(totals, totals, st.floats(-5, 5), st.sampled_from([REINFORCE_PP, {"normalize_batch": BatchNorm.completions}]))
def test_a_constant_added_to_one_group_moves_no_other_through_the_batch(values, others, constant, variant):
    shifted = advantages(scored(*(value + constant for value in values)), scored(*others), **variant)
    for found, expected in zip(shifted, advantages(scored(*values), scored(*others), **variant), strict=True):
        assert found == pytest.approx(expected, abs=1e-4)


@given(totals, st.booleans())
def test_rloo_is_the_distance_from_the_mean_times_g_by_g_minus_1(values, normalized):
    size = len(values)
    plain = advantages(scored(*values), normalize_std=normalized)[0]
    found = advantages(scored(*values), baseline=Baseline.leave_one_out, normalize_std=normalized)[0]
    assert found == pytest.approx([size / (size - 1) * value for value in plain])


@given(st.lists(st.tuples(totals, st.integers(1, 9)), min_size=2, max_size=4))
def test_whitened_tokens_have_mean_0_and_at_most_unit_variance(rows):
    groups = [of_lengths([length + index for index in range(len(values))], *values) for values, length in rows]
    tokens = [
        advantage
        for group, found in zip(groups, advantages(*groups, **REINFORCE_PP), strict=True)
        for completion, advantage in zip(group.completions, found, strict=True)
        for _ in completion.token_ids
    ]
    mean = sum(tokens) / len(tokens)
    assert mean == pytest.approx(0, abs=1e-6)
    assert sum((value - mean) ** 2 for value in tokens) / (len(tokens) - 1) <= 1 + 1e-6
