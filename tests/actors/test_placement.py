"""Placement plans without a cluster: the machine of each actor, and the refusal when there is no room."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.config import ClusterConfig, Placement
from actors.placement import ROUNDING, Machine, Slot, num_sharing, plan, slots


def machines(*sizes: tuple[float, float]) -> list[Machine]:
    """Make machines a, b, … of (CPUs, GPUs)."""
    return [
        Machine(id=f"id-{name}", name=name, cpus=cpus, gpus=gpus)
        for name, (cpus, gpus) in zip("abcdefgh", sizes, strict=False)
    ]


def wanted(kind: str, count: int, cpus: float = 1.0, gpus: float = 0.0) -> list[Slot]:
    return [Slot(kind=kind, cpus=cpus, gpus=gpus)] * count


def placed(slots: list[Slot], cluster: list[Machine], placement: Placement = Placement.packed) -> str:
    """Plan; return the names of the machines in the order of the slots."""
    return "".join(machine.name for machine in plan(slots, cluster, placement))


def test_a_run_asks_for_learners_reference_rollout_and_reward_workers():
    config = ClusterConfig(
        num_learners=2, num_rollout_workers=2, gpus_per_actor=1.0, cpus_per_actor=2.0, cpus_per_reward_worker=0.5
    )
    with_reference, without = (slots(config, with_reference=some) for some in (True, False))
    assert [slot.kind for slot in with_reference] == [
        *["learner"] * 2,
        "reference",
        *["rollout worker"] * 2,
        "reward worker",
    ]
    assert [slot.kind for slot in without] == [*["learner"] * 2, *["rollout worker"] * 2, "reward worker"]
    assert {(slot.cpus, slot.gpus) for slot in with_reference[:-1]} == {(2.0, 1.0)}
    assert (with_reference[-1].cpus, with_reference[-1].gpus) == (0.5, 0.0)


def test_colocated_actors_share_a_slot_with_the_cpus_of_all():
    config = ClusterConfig(placement=Placement.colocated, num_learners=2, num_rollout_workers=2, gpus_per_actor=1.0)
    shares = {some: [num_sharing(config, with_reference=some), *slots(config, with_reference=some)] for some in (0, 1)}
    pair, triple = wanted("learner", 2, cpus=2.0, gpus=1.0), wanted("learner", 2, cpus=3.0, gpus=1.0)
    assert shares == {0: [2, *pair, *wanted("reward worker", 1)], 1: [3, *triple, *wanted("reward worker", 1)]}
    assert num_sharing(ClusterConfig(), with_reference=True) == 1


def test_packed_fills_machine_after_machine():
    run = [*wanted("learner", 3, gpus=1.0), *wanted("rollout worker", 2, gpus=1.0)]
    assert placed(run, machines((8, 2), (8, 2), (8, 2))) == "aabbc"


def test_packed_may_mix_kinds_on_a_machine():
    assert placed([*wanted("learner", 1), *wanted("rollout worker", 1)], machines((2, 0), (2, 0))) == "aa"


def test_apart_gives_each_kind_machines_of_its_own():
    run = [
        *wanted("learner", 3, gpus=1.0),
        *wanted("reference", 1, gpus=1.0),
        *wanted("rollout worker", 2, gpus=1.0),
        *wanted("reward worker", 2),
    ]
    cluster = machines((8, 2), (8, 2), (8, 2), (8, 2), (8, 0))
    assert placed(run, cluster, Placement.apart) == "aabdccee"


def test_actors_without_gpu_prefer_machines_without_gpu():
    run = [*wanted("learner", 1, gpus=1.0), *wanted("reward worker", 3)]
    assert placed(run, machines((4, 2), (2, 0))) == "abba"


def test_gpus_are_given_out_before_cpus_whatever_the_order():
    # The learner is placed first and leaves no CPU on its machine.
    run = [*wanted("reward worker", 1), *wanted("learner", 1, gpus=1.0)]
    assert placed(run, machines((1, 1), (1, 1))) == "ba"


@pytest.mark.parametrize("turned", [False, True])
def test_the_order_of_the_machines_decides_nothing(turned):
    run = [*wanted("learner", 4, gpus=1.0), *wanted("rollout worker", 8, gpus=1.0)]
    cluster = machines((16, 8), (16, 4))
    placed(run, cluster[::-1] if turned else cluster, Placement.apart)
    small = [*wanted("learner", 1), *wanted("reward worker", 1, cpus=4.0)]
    cluster = machines((4, 0), (2, 0))
    assert placed(small, cluster[::-1] if turned else cluster) == "ba"


def test_tenths_of_a_cpu_fill_a_whole_one():
    assert placed(wanted("reward worker", 20, cpus=0.1), machines((1, 0), (1, 0))) == "a" * 10 + "b" * 10


def test_too_small_a_cluster_is_refused_with_the_kinds_and_machines():
    run = [*wanted("learner", 2, cpus=2.0, gpus=1.0), *wanted("reward worker", 4, cpus=0.5)]
    with pytest.raises(ValueError) as caught:
        plan(run, machines((4, 1), (8, 0)), Placement.packed)
    assert str(caught.value) == (
        "cluster: the run needs 2 × learner with 2 CPUs and 1 GPUs, 4 × reward worker with 0.5 CPUs, and a learner "
        "finds no room (a has 4 CPUs and 1 GPUs; b has 8 CPUs and 0 GPUs); lower cluster.num_*, cluster.cpus_per_* "
        "or cluster.gpus_per_actor, or choose another cluster="
    )


def test_kinds_that_cannot_be_kept_apart_are_refused():
    run = [*wanted("learner", 1), *wanted("rollout worker", 1)]
    with pytest.raises(ValueError, match="on machines of their own, and a rollout worker finds no room"):
        plan(run, machines((8, 0)), Placement.apart)


def test_a_cluster_without_machines_is_refused():
    with pytest.raises(ValueError, match="there is no machine"):
        plan(wanted("learner", 1), [], Placement.packed)


AMOUNTS = st.sampled_from([0.0, 0.25, 1.0, 2.0])
CLUSTERS = st.lists(st.tuples(st.sampled_from([0.5, 2.0, 4.0]), AMOUNTS), max_size=5).map(lambda some: machines(*some))
RUNS = st.lists(
    st.builds(Slot, kind=st.sampled_from(["learner", "rollout worker", "reward worker"]), cpus=AMOUNTS, gpus=AMOUNTS),
    max_size=8,
)


@given(RUNS, CLUSTERS, st.sampled_from([Placement.packed, Placement.apart]))
def test_a_plan_exceeds_no_machine_and_keeps_kinds_apart_if_asked(run, cluster, placement):
    try:
        chosen = plan(run, cluster, placement)
    except ValueError as error:
        assert "finds no room" in str(error)
        return
    cpus, gpus = Counter(), Counter()
    kinds: dict[str, set[str]] = {}
    for slot, machine in zip(run, chosen, strict=True):
        cpus[machine.id] += slot.cpus
        gpus[machine.id] += slot.gpus
        kinds.setdefault(machine.id, set()).add(slot.kind)
    for machine in cluster:
        assert cpus[machine.id] <= machine.cpus + ROUNDING and gpus[machine.id] <= machine.gpus + ROUNDING
    if placement is Placement.apart:
        assert all(len(some) == 1 for some in kinds.values())


@given(RUNS)
def test_a_machine_as_large_as_all_slots_takes_them_all(run):
    sums = (sum(slot.cpus for slot in run), sum(slot.gpus for slot in run))
    assert set(placed(run, machines(sums))) <= {"a"}
