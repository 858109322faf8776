"""The learners: a policy that is a hash chain, and its checkpoints, which are written while training goes on."""

import asyncio
from collections.abc import Generator, Sequence
from dataclasses import replace
from pathlib import Path

from actors.waiting import answer
from rl.brake import dropped
from rl.checkpoints import STATE, WHOLE, Record, commit, unfinished
from rl.faults import AssayError, RunFailure, named
from rl.roles import Metrics
from rl.types import Group
from sim import nature
from sim.nature import Weights
from sim.world import LIMIT, World

MODEL = "fingerprint"


class SimulatedPolicy:
    """Learners; plays rl.roles.Policy and launch.run.archive.Saver."""

    def __init__(self, world: World, num_ranks: int) -> None:
        self.num_ranks = num_ranks
        self.writings: list[Writing] = []
        """The checkpoints of this life, the last of which may be unfinished."""
        self._updating: asyncio.Future[Metrics] | None = None
        self._world = world

    async def update(self, groups: Sequence[Group]) -> Metrics:
        """Update in a task of the learners' own, which goes on although its caller is dropped, as an actor does."""
        self._world.refuse_after_stop("an update was begun")
        self._updating = asyncio.ensure_future(self._update(groups))
        return await asyncio.shield(self._updating)

    async def _update(self, groups: Sequence[Group]) -> Metrics:
        world = self._world
        step = world.weights.step
        names, wanted = [group.prompt.sample.id for group in groups], world.straight.trained[step]
        if names != wanted:
            world.trace.wrong(f"step {step} trains {names}, not {wanted}")
        world.learning_since = world.clock.now
        await world.call("learner")
        await asyncio.sleep(1)
        if world.plan.teaches and world.reading_since != world.learning_since:
            world.trace.wrong("the next lessons were not read while the learners were busy")
        world.weights = nature.learned(world.weights, groups)
        world.trace.note(f"update {step} of {', '.join(names)}")
        if world.weights != world.straight.weights[step + 1]:
            world.trace.wrong(f"the weights after step {step} are not those of the straight run")
        return nature.report(world.weights)

    async def end(self) -> None:
        """Die with the run, whatever is still under way."""
        if self._updating:
            await dropped([self._updating])

    async def publish(self) -> Weights:
        await self._world.call("learner")
        return self._world.weights

    async def save(self, folder: Path, record: Record) -> None:
        if self._updating and not self._updating.done():
            # An actor answers one call after the other.
            await asyncio.wait([self._updating])
        await self._finish()
        await self._world.call("learner")
        self.writings.append(Writing(self._world.weights, folder, replace(record, model=MODEL), self.num_ranks))
        self.writings[-1].begin(self._world)

    async def finish_saving(self) -> None:
        step, is_last = self._world.weights.step, self._world.weights.step == self._world.num_steps
        is_fresh = bool(self.writings) and self.writings[-1].folder.name == f"step_{step}"
        if is_fresh and not is_last and not self._world.brake.is_pulled:
            self._world.trace.wrong("a checkpoint is waited for, though the training could go on")
        await self._finish()

    async def _finish(self) -> None:
        if self.writings and self.writings[-1].done:
            # A wait that is dropped must not end the writing.
            await answer(asyncio.shield(self.writings[-1].done), "learner 0", LIMIT)

    async def checkpoint_bytes(self) -> int:
        await self._world.call("learner")
        return 1000

    async def restore(self, folder: Path, model: str) -> None:
        await self._world.call("learner")
        texts = {file.read_text() for file in folder.rglob("*") if file.name.startswith(("rank_", "model"))}
        step, chain = texts.pop().split()[:2]
        self._world.weights = Weights(step=int(step), chain=chain)
        if texts or model != MODEL or self._world.weights != self._world.straight.weights[int(step)]:
            self._world.trace.wrong(f"{folder} does not hold the weights of the straight run")


class Writing:
    """A checkpoint on its way to the disk, in stages; the last one commits it."""

    def __init__(self, weights: Weights, folder: Path, record: Record, num_ranks: int) -> None:
        self.folder = folder
        self.is_committed = False
        self.done: asyncio.Future[None] | None = None
        """Set once the writing has ended; None while nobody waits for it."""
        self._text = f"{weights.step} {weights.chain} {num_ranks}\n"
        self._stages = self._write(record, num_ranks)

    def begin(self, world: World) -> None:
        """Write stage after stage, with time between them."""
        self.done = world.clock.create_future()
        self._stage(world)

    def outlive(self, num_stages: int) -> None:
        """Write so many stages more, after the driver has died."""
        self.done = None
        for _ in range(num_stages):
            self._ended()

    def trouble(self, world: World) -> None:
        """Go on writing while another driver runs, in whose folder nobody may commit but its own learners."""
        if not self._ended():
            world.clock.call_later(world.writing_seconds(), self.trouble, world)
        elif self.is_committed:
            world.trace.wrong(f"an orphan committed {self.folder.name} while another driver had the folder")

    def _stage(self, world: World) -> None:
        assert self.done
        error = self._ended()
        if not error:
            world.clock.call_later(world.writing_seconds(), self._stage, world)
        elif self.is_committed:
            self.done.set_result(None)
        else:
            world.trace.note(f"{self.folder.name} was not written: {error}")
            self.done.set_exception(RunFailure(f"learner 0 failed: {error}"))
            # It may be that nobody waits any more.
            self.done.exception()

    def _ended(self) -> str:
        """Write the next stage; return "" if there are more, else how the writing ended."""
        try:
            next(self._stages)
        except StopIteration:
            return "there is nothing left to write"
        except (OSError, AssayError) as error:
            return named(error)
        return ""

    def _write(self, record: Record, num_ranks: int) -> Generator[None, None, None]:
        written = unfinished(self.folder, record.epoch)
        files = [written / STATE / f"rank_{rank}" for rank in range(num_ranks)] + [written / WHOLE / "model"]
        for file in files:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(self._text)
            yield
            with file.open("a") as opened:
                opened.write(self._text)
            yield
        commit(self.folder, record)
        self.is_committed = True
