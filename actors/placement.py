"""Plan of which actor runs on which machine, from what each needs and each machine has; knows no Ray."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from actors.config import ClusterConfig, Placement
from rl.faults import UserError

ROUNDING = 1e-6


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A node of the cluster, with what is free on it."""

    id: str
    name: str
    cpus: float
    gpus: float

    def fits(self, slot: "Slot") -> bool:
        return slot.cpus <= self.cpus + ROUNDING and slot.gpus <= self.gpus + ROUNDING

    def without(self, slot: "Slot") -> "Machine":
        return replace(self, cpus=self.cpus - slot.cpus, gpus=self.gpus - slot.gpus)


@dataclass(frozen=True, kw_only=True)
class Slot:
    """Room for one actor, or for those that are colocated."""

    kind: str
    cpus: float
    gpus: float


def slots(config: ClusterConfig, *, with_reference: bool) -> list[Slot]:
    """Return the slots of a run: learners, reference, rollout workers, reward workers, in this order."""
    rewards = [Slot(kind="reward worker", cpus=config.cpus_per_reward_worker, gpus=0.0)] * config.num_reward_workers
    if config.placement is Placement.colocated:
        shared = config.cpus_per_actor * num_sharing(config, with_reference=with_reference)
        return [Slot(kind="learner", cpus=shared, gpus=config.gpus_per_actor)] * config.num_learners + rewards
    counts = {"learner": config.num_learners, "reference": int(with_reference)}
    counts["rollout worker"] = config.num_rollout_workers
    models = [
        Slot(kind=kind, cpus=config.cpus_per_actor, gpus=config.gpus_per_actor)
        for kind, count in counts.items()
        for _ in range(count)
    ]
    return models + rewards


def without_learning(config: ClusterConfig, *, with_frozen: bool = True) -> ClusterConfig:
    """Return the cluster config of a run that learns nothing: rollout workers and, if wanted, a frozen model.

    Where learners would share GPUs with engines, an engine and the frozen model share one and both stay awake.
    """
    shares = config.placement is Placement.colocated
    return replace(
        config,
        num_learners=0,
        num_reward_workers=0,
        placement=Placement.packed if shares else config.placement,
        gpus_per_actor=config.gpus_per_actor / (2 if shares and with_frozen else 1),
    )


def num_sharing(config: ClusterConfig, *, with_reference: bool) -> int:
    """Return the number of actors that share a learner's GPUs, the learner included."""
    if config.placement is not Placement.colocated:
        return 1
    return 3 if with_reference else 2


def plan(wanted: Sequence[Slot], machines: Sequence[Machine], placement: Placement) -> list[Machine]:
    """Return the machine of each slot; raise a UserError that says what is missing."""
    free = {machine.id: machine for machine in machines}
    taken: dict[str, str] = {}
    chosen = {}
    for index, slot in _largest_first(wanted):
        for machine in (free[each.id] for each in _by_likeness(slot, machines)):
            foreign = placement is Placement.apart and taken.get(machine.id, slot.kind) != slot.kind
            if machine.fits(slot) and not foreign:
                free[machine.id], taken[machine.id], chosen[index] = machine.without(slot), slot.kind, machine
                break
        else:
            raise UserError(_lacking(wanted, slot, machines, placement))
    return [chosen[index] for index in range(len(wanted))]


def _largest_first(wanted: Sequence[Slot]) -> list[tuple[int, Slot]]:
    """Return the order in which slots are placed: the kinds that need most GPUs first, then most CPUs."""
    needs = {each.kind: (0.0, 0.0) for each in wanted}
    for each in wanted:
        gpus, cpus = needs[each.kind]
        needs[each.kind] = gpus + each.gpus, cpus + each.cpus
    return sorted(
        enumerate(wanted),
        key=lambda item: (item[1].gpus > 0, needs[item[1].kind], item[1].gpus, item[1].cpus),
        reverse=True,
    )


def _by_likeness(slot: Slot, machines: Iterable[Machine]) -> list[Machine]:
    """Return the machines to try for a slot: those without GPUs first if it needs none, then the larger ones."""
    return sorted(machines, key=lambda each: ((each.gpus > 0) != (slot.gpus > 0), -each.gpus, -each.cpus))


def _lacking(wanted: Sequence[Slot], slot: Slot, machines: Sequence[Machine], placement: Placement) -> str:
    kinds = dict.fromkeys(each.kind for each in wanted)
    sums = {kind: [each for each in wanted if each.kind == kind] for kind in kinds}
    needs = ", ".join(
        f"{len(of_kind)} × {kind} with {of_kind[0].cpus:g} CPUs"
        + (f" and {of_kind[0].gpus:g} GPUs" if of_kind[0].gpus else "")
        for kind, of_kind in sums.items()
    )
    room = "; ".join(f"{machine.name} has {machine.cpus:g} CPUs and {machine.gpus:g} GPUs" for machine in machines)
    rule = " on machines of their own" if placement is Placement.apart else ""
    return (
        f"cluster: the run needs {needs}{rule}, and a {slot.kind} finds no room ({room or 'there is no machine'}); "
        f"lower cluster.num_*, cluster.cpus_per_* or cluster.gpus_per_actor, or choose another cluster="
    )
