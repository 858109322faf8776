"""Runs that are killed, stopped and starved at random points come to the same end as the straight run."""

from sim.seeds import run_seed, run_seeds
from sim.swarm import KINDS

NUM_SEEDS = 500
LEAST_FAULTS = 10
"""Times that each kind of fault must happen in these seeds."""


def test_every_run_comes_to_the_end_of_the_straight_run():
    figures = run_seeds(range(NUM_SEEDS))
    told = [f"seed {seed}: {wrong}; python -m tests.sim --seed {seed}" for seed, wrong in figures.wrongs.items()]
    assert not told, "\n".join(told)
    assert {kind: figures.faults[kind] for kind in KINDS if figures.faults[kind] < LEAST_FAULTS} == {}
    print(f"figures: {figures.told()}")


def test_a_seed_gives_the_same_story_each_time():
    for seed in range(20):
        assert run_seed(seed).trace.lines == run_seed(seed).trace.lines
