"""The roles of rl.roles played by Ray actors: fan out, then wait once, never longer than the limit."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ray import ObjectRef

from actors.config import ClusterConfig
from actors.peers import Peer, ask, ask_each, ask_one, ask_pure, spread
from actors.pixels import without_pixels
from actors.reward_worker import Scored
from actors.room import call_limit
from actors.waiting import Limit, answer, answers
from rl.algorithm import AlgoConfig
from rl.batching import deal, plan_updates
from rl.brake import dropped
from rl.checkpoints import Record
from rl.contrast import Repair, hinted
from rl.faults import UserError
from rl.parity import warn_of_parity
from rl.recipe import RECIPES
from rl.roles import Metrics
from rl.timing import Timings
from rl.types import Group, Observed, Sample
from rollout.config import LocalizeConfig


class RaySampler:
    """Rollout workers: sample i of a call goes to worker i mod n, so the same seed gives the same run."""

    def __init__(
        self, workers: list[Peer], num_completions: int, seed: int, position: int, limit: Limit, timings: Timings
    ):
        self._workers = workers
        self._num_completions = num_completions
        # Numbers are reserved so that no two calls share a seed; each call of each worker uses the first of its range.
        self._next_seed = seed + len(workers) * position
        self._limit = limit
        self._timings = timings

    async def collect(self, samples: Sequence[Sample], *, greedy: bool = False) -> AsyncGenerator[tuple[int, Group]]:
        arrived: asyncio.Queue[tuple[int, Group]] = asyncio.Queue()
        with self._timings.span("rollout"):
            readers = [
                asyncio.create_task(self._read(worker_index, samples, greedy, arrived))
                for worker_index in range(len(self._workers))
            ]
            # Its result is the seconds that each worker spent generating.
            finished = asyncio.gather(*readers)
            try:
                async for item in _until(finished, arrived):
                    yield item
            finally:
                await dropped([finished])
        if not greedy:
            self._next_seed += len(self._workers) * len(samples)
        self._timings.add("generate", max(finished.result()))

    async def _read(
        self, worker_index: int, samples: Sequence[Sample], greedy: bool, arrived: asyncio.Queue[tuple[int, Group]]
    ) -> float:
        """Stream one worker's groups into `arrived`; return the seconds that it spent generating."""
        worker = self._workers[worker_index]
        mine = range(worker_index, len(samples), len(self._workers))
        stream = worker.handle.generate.options(num_returns="streaming").remote(
            [samples[index] for index in mine],
            num_completions=1 if greedy else self._num_completions,
            greedy=greedy,
            first_seed=self._next_seed + worker_index * len(samples),
        )
        for _ in mine:
            # Resolve the group before asking for its pixels: if the worker failed, the stream ends here and a second
            # `anext` would hide the error.
            item = await answer(anext(stream), str(worker), self._limit)
            index, group = await answer(item, str(worker), self._limit)
            # The pixels stay a reference: the driver passes them on without reading them.
            pixels = await answer(anext(stream), str(worker), self._limit)
            await arrived.put((mine[index], replace(group, prompt=replace(group.prompt, pixels=pixels))))
        return await ask_one(worker, lambda handle: handle.drain_generate_s.remote(), self._limit)

    async def load(self, weights: ObjectRef, version: int) -> None:
        with self._timings.span("sync"):
            await ask(self._workers, lambda handle: handle.load.remote(weights, version), self._limit)


class RayTeacher:
    """The present policy as rollout.teacher.Teacher: rollout workers that read the hint."""

    def __init__(self, workers: list[Peer], limit: Limit, timings: Timings):
        self._workers = workers
        self._limit = limit
        self._timings = timings

    async def write(self, repairs: Sequence[Repair], seed: int) -> list[list[str]]:
        samples = [hinted(repair.group.prompt.sample, repair.untruth) for repair in repairs]
        places = len(repairs[0].places)
        texts = await spread(
            self._workers,
            samples,
            lambda handle, share, number: handle.write.remote(share, num_completions=places, first_seed=seed + number),
            self._limit,
        )
        seconds = await ask(self._workers, lambda handle: handle.drain_generate_s.remote(), self._limit)
        self._timings.add("generate", max(seconds))
        return texts


async def _until(
    finished: asyncio.Future[Any], arrived: asyncio.Queue[tuple[int, Group]]
) -> AsyncIterator[tuple[int, Group]]:
    """Yield items as they arrive until the readers are finished; raise the failure of a reader."""
    while not (finished.done() and arrived.empty()):
        getter = asyncio.ensure_future(arrived.get())
        try:
            await asyncio.wait({getter, finished}, return_when=asyncio.FIRST_COMPLETED)
            if getter.done():
                yield getter.result()
            else:
                # Raises if a reader failed; otherwise all are done and the loop ends.
                finished.result()
        finally:
            getter.cancel()


class RayJudge:
    """A pool of reward workers, taken in turn."""

    def __init__(
        self,
        workers: list[Peer],
        weights: Mapping[str, float],
        limit: Limit,
        timings: Timings,
        hear: Callable[[str], None],
    ):
        self._workers = workers
        self.weights = weights
        """Weight of each component of the reward."""
        self._hear = hear
        """Listener to the lines that functions of the user's print."""
        self._limit = limit
        self._timings = timings
        self._calls = 0

    async def score(self, group: Group) -> Group:
        worker = self._workers[self._calls % len(self._workers)]
        self._calls += 1
        who = f"{worker} on sample {group.prompt.sample.id}"
        with self._timings.shared_span("reward"):
            found: Scored = await ask_pure(
                worker, lambda: answer(worker.handle.score.remote(without_pixels(group)), who, self._limit)
            )
        for line in found.printed:
            self._hear(line)
        if found.fault:
            raise UserError(found.fault)
        return replace(group, scores=found.scores)


class RayPolicy:
    """The FSDP learner group."""

    def __init__(
        self,
        learners: Sequence[Peer],
        algo: AlgoConfig,
        cluster: ClusterConfig,
        timings: Timings,
        *,
        roommates: Sequence[Peer],
    ):
        self._learners = learners
        self._algo = algo
        self._micro_batch_tokens = cluster.micro_batch_tokens
        self._limit = call_limit(cluster)
        self._timings = timings
        self._roommates = roommates
        """Engines that share the learners' GPUs: they sleep while weights are learnt."""

    async def update(self, groups: Sequence[Group]) -> Metrics:
        with self._timings.span("update"):
            await ask(self._roommates, lambda handle: handle.sleep.remote(), self._limit)
            plans = plan_updates(
                groups,
                num_updates=self._algo.num_updates,
                num_ranks=len(self._learners),
                micro_batch_tokens=self._micro_batch_tokens,
            )
            reports = await ask_each(
                self._learners, plans, lambda handle, share: handle.update.remote(share), self._limit
            )
        self._timings.add("gradient", max(report.pop("time/gradient") for report in reports))
        report = reports[0]
        if not RECIPES[self._algo.objective].teaches:
            warn_of_parity(report["parity/logprob_abs_mean"], report["parity/logprob_abs_max"], self._algo)
        return report

    async def observe(self, groups: Sequence[Group], config: LocalizeConfig, *, with_maps: bool) -> list[Group]:
        """Return the groups with the log-probs and looks of the present weights."""
        with self._timings.span("look"):
            await ask(self._roommates, lambda handle: handle.sleep.remote(), self._limit)
            dealt = deal(groups, len(self._learners), self._micro_batch_tokens)
            shares = [[[groups[index] for index in part] for part in share] for share in dealt]
            observed: list[list[list[Observed]]] = await ask_each(
                self._learners,
                shares,
                lambda handle, share: handle.observe.remote(share, config, with_maps=with_maps),
                self._limit,
            )
        indices = [index for share in dealt for part in share for index in part]
        results = [each for share in observed for part in share for each in part]
        found = dict(zip(indices, results, strict=True))
        return [
            replace(group, old_logprobs=found[index][0], looks=found[index][1]) for index, group in enumerate(groups)
        ]

    async def publish(self) -> ObjectRef:
        """Return a reference to the weights of rank 0, once the other ranks have done their part in gathering them."""
        with self._timings.span("publish"):
            # Rank 0's answer is not awaited: that would bring the weights to the driver. Engines fetch them in `load`,
            # and there a failure of rank 0 is raised.
            weights, *others = [peer.handle.weights.remote() for peer in self._learners]
            await answers(others, map(str, self._learners[1:]), self._limit)
        return weights

    async def save(self, folder: Path, record: Record) -> None:
        """Copy the state of this moment; it is written while training goes on."""
        with self._timings.span("checkpoint"):
            await ask(self._learners, lambda handle: handle.save.remote(str(folder), record), self._limit)

    async def finish_saving(self) -> None:
        """Wait until the last copy is written."""
        await ask(self._learners, lambda handle: handle.finish_saving.remote(), self._limit)

    async def checkpoint_bytes(self) -> int:
        """Return the size of a checkpoint, without the files of a few kilobytes."""
        (size,) = await ask(self._learners[:1], lambda handle: handle.checkpoint_bytes.remote(), self._limit)
        return int(size)

    async def hardware(self) -> list[str]:
        """Return the name of each learner's GPU or processor."""
        return await ask(self._learners, lambda handle: handle.hardware.remote(), self._limit)

    async def check_shared(self, path: Path) -> None:
        """Raise a UserError unless every learner sees this file of the run folder, to which it will write."""
        await ask(self._learners, lambda handle: handle.check_sees.remote(str(path)), self._limit)

    async def restore(self, folder: Path, model: str) -> None:
        """Go on from a checkpoint of the same model."""
        await ask(self._learners, lambda handle: handle.restore.remote(str(folder), model), self._limit)


class RayObserver:
    """The learners as rl.roles.Observer."""

    def __init__(self, policy: RayPolicy, config: LocalizeConfig):
        self._policy = policy
        self._config = config

    async def observe(self, groups: Sequence[Group], *, with_maps: bool) -> list[Group]:
        return await self._policy.observe(groups, self._config, with_maps=with_maps)


class RayReference:
    """The frozen starting policy, in an actor of its own."""

    def __init__(self, reference: Peer, limit: Limit, timings: Timings):
        self._reference = reference
        self._limit = limit
        self._timings = timings

    async def logprobs(self, groups: Sequence[Group]) -> list[Group]:
        with self._timings.span("reference"):
            logprobs = await ask_pure(
                self._reference,
                lambda: ask_one(self._reference, lambda handle: handle.logprobs.remote(list(groups)), self._limit),
            )
        return [
            replace(group, reference_logprobs=per_completion)
            for group, per_completion in zip(groups, logprobs, strict=True)
        ]
