"""Bugs planted in a run's code: each one can still be planted, and the simulation finds it."""

import pytest

from sim.mutants import MUTANTS, Mutant, mutated, outcomes

NUM_SEEDS = 500


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_is_one_replacement_that_compiles(mutant: Mutant) -> None:
    assert compile(mutated(mutant), mutant.file, "exec")


def test_every_mutant_has_a_name_of_its_own() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)


@pytest.mark.slow
@pytest.mark.rare
@pytest.mark.timeout(7200)
def test_the_simulation_finds_every_mutant() -> None:
    assert [str(outcome) for outcome in outcomes(MUTANTS, NUM_SEEDS) if outcome.seed is None] == []
