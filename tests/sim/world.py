"""The actors around the driver: they play the roles of rl.roles, take their time, fail, and hang."""

import asyncio
import random
from collections.abc import AsyncGenerator, Sequence

from actors.waiting import Limit, answer
from rl.brake import Brake
from rl.contrast import Repair
from rl.faults import AssayError, RunFailure, UserError
from rl.types import Completion, Group, Sample
from sim import nature
from sim.clock import Clock
from sim.nature import Weights
from sim.straight import Straight, group_size
from sim.swarm import Fault
from sim.trace import Trace

LIMIT = Limit(seconds=600, key="cluster.call_timeout_s")
SECONDS = (0.0, 0.0, 1.0, 1.0, 2.0, 3.0)
"""Durations of a call; many calls end at the same moment, in any order."""


class World:
    """The time that calls take and the faults that befall them; each attribute with the name of a role plays it."""

    def __init__(
        self,
        straight: Straight,
        num_steps: int,
        clock: Clock,
        faults: list[Fault],
        rng: random.Random,
        trace: Trace,
    ) -> None:
        self.straight, self.plan, self.num_steps = straight, straight.plan, num_steps
        self.clock, self.rng, self.trace = clock, rng, trace
        self.brake = Brake()
        self.stopped_at: float | None = None
        """Time at which the brake was pulled."""
        self.ready_at: float | None = None
        """Time from which seconds count for the first step."""
        self.num_open = 0
        """Generators of the sampler that nobody has closed."""
        self.learning_since = self.reading_since = -1.0
        """Times at which the last update and the last lessons, but the first, were begun."""
        self.weights = Weights()
        """The present weights of the learners."""
        self._calls = 0
        self._faults = {fault.at: fault for fault in faults}
        self.sampler = SimulatedSampler(self)
        self.judge = SimulatedJudge(self)
        self.others = SimulatedOthers(self)
        self.actor = SimulatedActor()

    async def call(self, who: str) -> None:
        """Play a call that may not be dropped: it answers, fails, or hangs until the limit ends it."""
        self._calls += 1
        await answer(self._work(who, self._faults.get(self._calls)), who, LIMIT)

    async def braked_call(self, who: str) -> None:
        """Play a call that is neither begun nor waited for once the brake is pulled."""
        self.refuse_after_stop(f"{who} was called")
        try:
            await self.call(who)
        except (AssayError, OSError):
            self.refuse_after_stop(f"{who} was waited for")
            raise
        self.refuse_after_stop(f"{who} was waited for")

    def refuse_after_stop(self, what: str) -> None:
        if self.stopped_at is not None and self.clock.now > self.stopped_at:
            self.trace.wrong(f"{what} {self.clock.now - self.stopped_at:g} s after the brake was pulled")

    def writing_seconds(self) -> float:
        """Draw the time between two stages of writing a checkpoint."""
        return self.rng.choice(SECONDS) * (10 if self.plan.saves_slowly else 1)

    async def start(self) -> None:
        """Start the actors."""
        await self.braked_call("startup")

    def kill(self) -> None:
        """Let an actor die."""
        self.trace.befall("death", "learner 0 died")
        self.actor.is_gone.set()

    async def _work(self, who: str, fault: Fault | None) -> None:
        await asyncio.sleep(100.0 if fault and fault.kind == "slow" else self.rng.choice(SECONDS))
        if fault is None:
            return
        error = self._error(who, fault)
        words = "gave no answer" if fault.kind == "hang" else str(error)
        self.trace.befall(fault.kind, words, f"call {fault.at}, {who}")
        if fault.kind == "hang":
            await asyncio.Event().wait()
        if fault.kind == "failure":
            raise error

    def _error(self, who: str, fault: Fault) -> Exception:
        words = f"{who} broke in call {fault.at}"
        return self.rng.choice((RunFailure(words), UserError(words), OSError(words)))


class SimulatedActor:
    """An actor as far as actors.peers.while_alive watches it."""

    def __init__(self) -> None:
        self.is_gone = asyncio.Event()

    async def gone(self) -> None:
        await self.is_gone.wait()
        raise RunFailure("learner 0 died on its node")


class SimulatedSampler:
    """Engines that answer one sample after the other, in any order."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._weights: Weights | None = None
        self._version = -1

    async def load(self, weights: Weights, version: int) -> None:
        await self._world.call("rollout worker")
        if weights != self._world.weights or version != weights.step:
            self._world.trace.wrong(f"weights of step {weights.step} were loaded as version {version}")
        self._weights, self._version = weights, version
        if self._world.ready_at is None and not self._world.plan.teaches:
            self._world.ready_at = self._world.clock.now

    async def collect(self, samples: Sequence[Sample], *, greedy: bool = False) -> AsyncGenerator[tuple[int, Group]]:
        world, known = self._world, self._world.straight.heldout if greedy else self._world.straight.training
        if self._weights != world.weights:
            world.trace.wrong(f"samples are answered with version {self._version}, not with the present weights")
        order = list(range(len(samples)))
        world.rng.shuffle(order)
        world.num_open += 1
        try:
            for index in order:
                await world.braked_call("rollout worker")
                prompt = known[samples[index].id]
                count = 1 if greedy else world.plan.num_completions
                world.judge.expect(prompt.sample.id)
                yield index, nature.answered(prompt, self._weights or Weights(), self._version, count)
        finally:
            world.num_open -= 1


class SimulatedJudge:
    """Reward workers, whose answers come in any order."""

    weights = nature.REWARDS

    def __init__(self, world: World) -> None:
        self._world = world
        self._sampled_at: dict[str, float] = {}

    def expect(self, sample_id: str) -> None:
        """Expect the sample to be scored as soon as it is answered, unless an observer looks at all of them first."""
        if not self._world.plan.has_observer:
            self._sampled_at[sample_id] = self._world.clock.now

    async def score(self, group: Group) -> Group:
        name = group.prompt.sample.id
        if self._world.clock.now > self._sampled_at.pop(name, self._world.clock.now):
            self._world.trace.wrong(f"{name} was scored later than it was answered")
        await self._world.braked_call("reward worker")
        return nature.judged(group, self._world.plan.leaves_unjudged)


class SimulatedOthers:
    """The reference, the repairer, the observer and the maker of lessons."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.has_teacher = world.plan.has_teacher
        self._taken = -1
        """Step whose lessons were asked for last."""

    async def logprobs(self, groups: Sequence[Group]) -> list[Group]:
        await self._world.braked_call("reference")
        return [nature.compared(group) for group in groups]

    async def write(self, repairs: Sequence[Repair], step: int) -> list[tuple[Completion, ...]]:
        if repairs:
            await self._world.braked_call("repairer")
        return [nature.written(repair, step) for repair in repairs]

    async def observe(self, groups: Sequence[Group], *, with_maps: bool) -> list[Group]:
        world = self._world
        if with_maps != (groups[0].prompt.sample.id in world.straight.heldout):
            world.trace.wrong(f"maps were {'' if with_maps else 'not '}asked for of {groups[0].prompt.sample.id}")
        await world.braked_call("observer")
        return [nature.observed(group, world.weights) for group in groups]

    async def lessons(self, samples: Sequence[Sample]) -> list[Group]:
        world, names = self._world, [sample.id for sample in samples]
        is_first = self._taken < 0
        self._taken = world.weights.step if is_first else self._taken + 1
        wanted = world.straight.trained[self._taken] if self._taken < world.num_steps else []
        # A run that has no step left reads the lessons of its first one all the same.
        if names != wanted and (wanted or not is_first):
            world.trace.wrong(f"the lessons of {names} were read for step {self._taken}, not those of {wanted}")
        if is_first:
            await world.braked_call("lesson maker")
            world.ready_at = world.clock.now
        else:
            world.reading_since = world.clock.now
            await world.call("lesson maker")
        return [nature.lesson(world.straight.training[name], group_size(world.plan)) for name in names]
