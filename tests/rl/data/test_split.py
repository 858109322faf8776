"""The held-out split."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl.data.split import split_heldout
from rl.types import Sample, Target


def samples_named(names: list[str]) -> list[Sample]:
    target = Target(label="normal")
    return [Sample(id=name, images=(), question="Fine?", target=target, category="x") for name in names]


def test_held_out_samples_are_never_trained_on():
    samples = samples_named([str(number) for number in range(1000)])
    training, heldout = split_heldout(samples, 0.2, seed=0)
    assert {sample.id for sample in training} | {sample.id for sample in heldout} == {s.id for s in samples}
    assert not {sample.id for sample in training} & {sample.id for sample in heldout}
    assert 150 < len(heldout) < 250


def test_the_split_of_a_sample_does_not_depend_on_the_others():
    samples = samples_named([str(number) for number in range(100)])
    _, heldout = split_heldout(samples, 0.3, seed=1)
    _, of_half = split_heldout(samples[::-2], 0.3, seed=1)
    assert {sample.id for sample in of_half} == {s.id for s in heldout} & {s.id for s in samples[::-2]}


def test_another_seed_splits_otherwise():
    samples = samples_named([str(number) for number in range(100)])
    assert split_heldout(samples, 0.3, seed=1) != split_heldout(samples, 0.3, seed=2)


@given(st.integers(1, 3), st.floats(0.01, 0.9))
def test_a_split_with_an_empty_side_is_refused(count, share):
    try:
        training, heldout = split_heldout(samples_named(["a", "b", "c"][:count]), share, seed=0)
    except ValueError as error:
        assert "data.heldout_share" in str(error)
    else:
        assert training and heldout


def test_the_data_sets_own_split_wins_over_the_drawn_one():
    samples = samples_named([str(number) for number in range(20)])
    halves = [replace(sample, heldout=number < 10) for number, sample in enumerate(samples)]
    assert split_heldout(halves, 0.2, seed=0) == (halves[10:], halves[:10])
    with pytest.raises(ValueError, match="0 samples would be trained on and 10 held out; .* the data set's own split"):
        split_heldout(halves[:10], 0.2, seed=0)
