"""Which samples a model finds as likely as chance."""

from math import log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl.data.pairs.boundary import Chance, chance_of


def logprobs(*shares: float) -> dict[str, float]:
    return {letter: log(share) for letter, share in zip("ABCDEF", shares, strict=False)}


def test_p_is_the_right_options_share_of_the_options_averaged_over_the_answers():
    answers = [logprobs(0.1, 0.3), logprobs(0.2, 0.2), {}]
    chance = chance_of(answers, "B", 2)
    assert chance.p_right == pytest.approx((0.75 + 0.5 + 0) / 3, abs=1e-6)
    assert (chance.num_options, chance.answered) == (2, 2)


@given(
    values=st.lists(st.floats(-700, 0), min_size=2, max_size=6),
    shift=st.floats(-1000, 1000),
)
def test_p_does_not_depend_on_what_else_the_model_might_have_said(values, shift):
    told = dict(zip("ABCDEF", values, strict=False))
    shifted = {letter: value + shift for letter, value in told.items()}
    first, second = (chance_of([each], "A", len(values)).p_right for each in (told, shifted))
    assert first == pytest.approx(second, abs=2e-6) and 0 <= first <= 1


@given(values=st.lists(st.floats(-50, 0), min_size=2, max_size=6))
def test_the_options_share_one(values):
    told = dict(zip("ABCDEF", values, strict=False))
    assert sum(chance_of([told], letter, len(told)).p_right for letter in told) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ("p", "num_options", "margin", "kept"),
    [
        (0.35, 4, 0.1, True),
        (0.15, 4, 0.1, True),
        (0.350001, 4, 0.1, False),
        (0.6, 2, 0.1, True),
        (0.0, 4, 0.1, False),
        (0.0, 12, 0.1, True),
        (1.0, 4, 1.0, True),
    ],
)
def test_the_margin_counts_from_the_chance_of_the_sample(p, num_options, margin, kept):
    assert Chance(p_right=p, num_options=num_options, answered=1).is_near(margin) is kept


def test_a_sample_without_any_option_in_its_answers_is_never_kept():
    chance = chance_of([{}, {}], "A", 12)
    assert chance == Chance(p_right=0.0, num_options=12, answered=0)
    assert not chance.is_near(0.1)
