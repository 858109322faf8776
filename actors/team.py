"""The roles of rl.roles played by Ray actors: fan out, then wait once, never longer than the timeout."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ray import ObjectRef
from ray.actor import ActorHandle

from actors.config import ClusterConfig
from actors.spawn import RankGroup
from actors.waiting import answer, answers
from rl.algorithm import AlgoConfig
from rl.batching import plan_updates
from rl.parity import warn_of_parity
from rl.roles import Metrics
from rl.timing import Timings
from rl.types import Group, Sample


class RaySampler:
    """Rollout workers: sample i of a call goes to worker i mod n, so the same seed gives the same run."""

    def __init__(self, workers: list[ActorHandle], num_completions: int, seed: int, timeout_s: float, timings: Timings):
        self._workers = workers
        self._num_completions = num_completions
        self._next_seed = seed
        self._timeout_s = timeout_s
        self._timings = timings

    async def collect(self, samples: Sequence[Sample], *, greedy: bool = False) -> AsyncIterator[tuple[int, Group]]:
        arrived: asyncio.Queue[tuple[int, Group]] = asyncio.Queue()
        with self._timings.span("rollout"):
            readers = [
                asyncio.create_task(self._read(worker_index, samples, greedy, arrived))
                for worker_index in range(len(self._workers))
            ]
            finished = asyncio.gather(*readers)
            async for item in _until(finished, arrived):
                yield item
        self._next_seed += len(self._workers) * len(samples)
        self._timings.add("generate", max(finished.result()))

    async def _read(self, worker_index: int, samples: Sequence[Sample], greedy: bool, arrived: asyncio.Queue) -> float:
        """Streams one worker's groups into `arrived`; returns the seconds that it spent generating."""
        worker, who = self._workers[worker_index], f"rollout worker {worker_index}"
        mine = range(worker_index, len(samples), len(self._workers))
        stream = worker.generate.options(num_returns="streaming").remote(
            [samples[index] for index in mine],
            num_completions=1 if greedy else self._num_completions,
            greedy=greedy,
            first_seed=self._next_seed + worker_index * len(samples),
        )
        for _ in mine:
            reference, pixels = [await answer(anext(stream), who, self._timeout_s) for _ in range(2)]
            position, group = await answer(reference, who, self._timeout_s)
            await arrived.put((mine[position], replace(group, prompt=replace(group.prompt, pixels=pixels))))
        return await answer(worker.drain_generate_s.remote(), who, self._timeout_s)

    async def load(self, weights: ObjectRef, version: int) -> None:
        with self._timings.span("sync"):
            loads = [worker.load.remote(weights, version) for worker in self._workers]
            await answers(loads, "rollout worker", self._timeout_s)


async def _until(finished: asyncio.Future, arrived: asyncio.Queue) -> AsyncIterator[Any]:
    """What arrives until the readers are finished; a reader's failure is raised here."""
    while not (finished.done() and arrived.empty()):
        getter = asyncio.ensure_future(arrived.get())
        await asyncio.wait({getter, finished}, return_when=asyncio.FIRST_COMPLETED)
        if getter.done():
            yield getter.result()
        else:
            getter.cancel()
            finished.result()


class RayJudge:
    """A pool of reward workers, taken in turn."""

    def __init__(self, workers: list[ActorHandle], timeout_s: float, timings: Timings):
        self._workers = workers
        self._timeout_s = timeout_s
        self._timings = timings
        self._calls = 0

    async def score(self, group: Group) -> Group:
        index = self._calls % len(self._workers)
        self._calls += 1
        light = replace(group, prompt=replace(group.prompt, pixels=None))
        call = self._workers[index].score.remote(light)
        scores = await answer(call, f"reward worker {index} on sample {group.prompt.sample.id}", self._timeout_s)
        return replace(group, scores=scores)


class RayPolicy:
    """The FSDP learner group."""

    def __init__(self, learners: RankGroup, algo: AlgoConfig, cluster: ClusterConfig, timings: Timings):
        self._learners = learners
        self._algo = algo
        self._cluster = cluster
        self._timings = timings

    async def update(self, groups: Sequence[Group]) -> Metrics:
        with self._timings.span("update"):
            plans = plan_updates(
                groups,
                num_updates=self._algo.num_updates,
                num_ranks=self._cluster.num_learners,
                micro_batch_tokens=self._cluster.micro_batch_tokens,
            )
            reports = await self._answers(self._learners.update(plans))
        self._timings.add("gradient", max(report.pop("time/gradient") for report in reports))
        report = reports[0]
        warn_of_parity(report["parity/logprob_abs_mean"], report["parity/logprob_abs_max"], self._algo)
        return report

    async def publish(self) -> ObjectRef:
        with self._timings.span("publish"):
            weights, *others = self._learners.weights([None] * self._cluster.num_learners)
            await self._answers(others)
        return weights

    async def save(self, folder: Path) -> None:
        await self._answers(self._learners.save([str(folder)] * self._cluster.num_learners))

    async def _answers(self, references: list[ObjectRef]) -> list[Any]:
        return await answers(references, "learner", self._cluster.call_timeout_s)


class RayReference:
    """The frozen starting policy, in an actor of its own."""

    def __init__(self, reference: RankGroup, cluster: ClusterConfig, timings: Timings):
        self._reference = reference
        self._cluster = cluster
        self._timings = timings

    async def logprobs(self, groups: Sequence[Group]) -> list[Group]:
        with self._timings.span("reference"):
            call = self._reference.logprobs([list(groups)])
            (logprobs,) = await answers(call, "reference", self._cluster.call_timeout_s)
        return [
            replace(group, reference_logprobs=per_completion)
            for group, per_completion in zip(groups, logprobs, strict=True)
        ]
