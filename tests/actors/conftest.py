"""Warm ranks for all tests of the folder, since starting them takes longer than the tests."""

from collections.abc import Iterator

import pytest

from builders.ranks import Ranks


@pytest.fixture(scope="package")
def one_rank() -> Iterator[Ranks]:
    ranks = Ranks(1)
    yield ranks
    ranks.close()


@pytest.fixture(scope="package")
def two_ranks() -> Iterator[Ranks]:
    ranks = Ranks(2)
    yield ranks
    ranks.close()
