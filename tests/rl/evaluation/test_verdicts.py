"""Figures of verdicts against the truth."""

import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl.evaluation import verdicts
from rl.evaluation.verdicts import auroc, confusion


def test_the_examples_hold():
    assert doctest.testmod(verdicts).failed == 0


def test_a_truth_that_nobody_answered_is_a_column_all_the_same() -> None:
    found = confusion([("defective", "normal"), ("normal", "normal")])
    assert (found.truths, found.answers) == (("defective", "normal"), ("defective", "normal"))
    assert found.counts["defective", "defective"] == 0


@given(st.lists(st.integers(0, 5), min_size=1, max_size=8), st.lists(st.integers(0, 5), min_size=1, max_size=8))
def test_auroc_is_the_share_of_pairs_in_order(defective, normal):
    pairs = [(high > low) + (high == low) / 2 for high in defective for low in normal]
    assert auroc(defective, normal) == pytest.approx(sum(pairs) / len(pairs))
