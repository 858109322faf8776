"""Actors that inspect images: engines answer, and a frozen copy of the model computes where the answers look."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, replace

from actors.config import ClusterConfig, ModelConfig
from actors.peers import Peer, Startup, ask_one, ask_pure
from actors.pixels import without_pixels
from actors.reference import ReferencePolicy
from actors.rollout_worker import RolloutWorker
from actors.room import call_limit, reserve, start_limit
from actors.setups import EngineSetup, FrozenSetup, Sampling
from actors.spawn import spawn
from actors.team import RaySampler
from actors.waiting import Limit, together
from rewards.rival import fork_of
from rl.brake import dropped
from rl.data.config import DataConfig
from rl.data.prompts import PromptBuilder
from rl.timing import Timings
from rl.types import Completion, Group, Origin, Sample
from rollout.banned import banned_token_ids
from rollout.config import LocalizeConfig, RolloutConfig


@dataclass(frozen=True, kw_only=True)
class InspectionConfig:
    """Config sections of the actors."""

    model: ModelConfig
    data: DataConfig
    rollout: RolloutConfig
    cluster: ClusterConfig
    """Without learners and reward workers."""
    localize: LocalizeConfig


class Inspectors:
    """Engines that answer with the likeliest tokens, and the frozen model that computes each answer's look."""

    def __init__(self, engines: Sequence[Peer], frozen: Peer, config: InspectionConfig) -> None:
        self.everyone = (*engines, frozen)
        self._limit: Limit = call_limit(config.cluster)
        self._sampler = RaySampler(list(engines), 1, 0, 0, self._limit, Timings())
        self._frozen = frozen
        self._localize = config.localize
        self._builder = PromptBuilder(config.model.path, config.data)

    async def inspect(self, samples: Sequence[Sample], batch: int) -> AsyncGenerator[list[Group]]:
        """Yield groups with looks, batch by batch; a batch is observed while the next is answered.

        At most two batches of pixels exist at a time.
        """
        observing: asyncio.Task[list[Group]] | None = None
        try:
            for first in range(0, len(samples), batch):
                answered = await self._answered(samples[first : first + batch])
                if observing:
                    yield await observing
                observing = asyncio.ensure_future(self._observed(answered))
            if observing:
                yield await observing
        finally:
            await dropped([observing] if observing else [])

    async def _answered(self, samples: Sequence[Sample]) -> list[Group]:
        groups = {index: group async for index, group in self._sampler.collect(samples, greedy=True)}
        return [groups[index] for index in range(len(samples))]

    async def _observed(self, groups: Sequence[Group]) -> list[Group]:
        asked = [with_rival(group, self._builder) for group in groups]
        observed = await ask_pure(
            self._frozen,
            lambda: ask_one(self._frozen, lambda handle: handle.observe.remote(asked, self._localize), self._limit),
        )
        return [
            replace(without_pixels(group), old_logprobs=logprobs, looks=looks[:1])
            for group, (logprobs, looks) in zip(asked, observed, strict=True)
        ]


def with_rival(group: Group, builder: PromptBuilder) -> Group:
    """Add a second completion to the group: the answer's tokens up to the verdict, then the opposite verdict.

    One pass then gives the probability of both verdicts. An answer without a verdict, or whose opposite is no single
    token, leaves the group as it is.
    """
    (answer,) = group.completions
    names = builder.names(answer.token_ids)
    fork = fork_of(builder.pieces(answer.token_ids), names, builder.vocabulary, group.prompt.sample.task)
    if fork is None:
        return group
    tokens = (*answer.token_ids[: fork.place], fork.rival)
    rival = Completion(
        token_ids=tokens,
        text="".join(builder.pieces(tokens)),
        logprobs=(),
        finish_reason="length",
        policy_version=answer.policy_version,
        origin=Origin.reference_text,
    )
    return replace(group, completions=(answer, rival))


async def start_inspectors(config: InspectionConfig, say: Callable[[str], None]) -> Inspectors:
    """Start every actor at once and wait until the last one holds its model."""
    cluster = config.cluster
    room = await reserve(cluster, with_reference=True)
    startup = Startup(start_limit(cluster), say)
    of_engines, of_frozen = spawn(RolloutWorker, room, cluster), spawn(ReferencePolicy, room, cluster)
    sampling = Sampling(
        # The model's own probabilities, whatever temperature it was trained at.
        temperature=1.0,
        # While their processes come up.
        banned_token_ids=await asyncio.to_thread(banned_token_ids, config.model.path),
        max_response_tokens=config.rollout.max_response_tokens,
    )
    engine = EngineSetup(model=config.model, data=config.data, rollout=config.rollout, seed=0)
    frozen = FrozenSetup(model=config.model, cluster=cluster, sampling=sampling)
    engines, (observer,) = await together(
        [
            startup.started("rollout worker", of_engines, lambda handle, _: handle.start.remote(engine)),
            startup.started("frozen model", of_frozen, lambda handle, _: handle.start.remote(frozen)),
        ]
    )
    return Inspectors(engines, observer, config)
