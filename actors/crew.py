"""Brings a run's actors up and hands out the roles that they play."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from actors.config import ClusterConfig, ModelConfig, needs_reference
from actors.learner import Sampling
from actors.peers import Peer, peers
from actors.platform import engine_sleeps
from actors.reward_actor import RewardActor
from actors.rollout_actor import RolloutActor
from actors.room import call_limit, reserve, start_limit
from actors.spawn import LearnerActor, ReferenceActor, spawn, spawn_group
from actors.team import RayJudge, RayObserver, RayPolicy, RayReference, RaySampler, RayTeacher
from actors.waiting import answers, together
from rewards.config import RewardConfig, is_computed, weights
from rl.algorithm import AlgoConfig, Objective
from rl.data.config import DataConfig
from rl.data.prompts import PromptBuilder
from rl.data.stream import SampleStream
from rl.timing import Timings
from rl.types import Sample
from rollout.author import Author, response_tokens
from rollout.banned import banned_token_ids
from rollout.config import LocalizeConfig, RolloutConfig, TeacherKind
from rollout.teacher import BorrowedTexts, EndpointTeacher, Teacher


@dataclass(frozen=True, kw_only=True)
class CrewConfig:
    """What the actors need to know, section by section."""

    model: ModelConfig
    data: DataConfig
    algo: AlgoConfig
    rollout: RolloutConfig
    reward: RewardConfig
    cluster: ClusterConfig
    localize: LocalizeConfig
    num_steps: int
    seed: int
    reference_known: bool = False
    """Whether files have every log-prob that the reference would be asked for."""

    @property
    def with_reference(self) -> bool:
        """Whether a frozen copy of the starting policy runs beside the learners."""
        return needs_reference(self.algo, self.cluster) and not self.reference_known


@dataclass(frozen=True, kw_only=True)
class Crew:
    """The roles of rl.roles, played by started actors."""

    sampler: RaySampler
    judge: RayJudge
    policy: RayPolicy
    reference: RayReference | None
    observer: RayObserver | None
    author: Author | None
    everyone: tuple[Peer, ...]


async def start_crew(config: CrewConfig, timings: Timings, stream: SampleStream) -> Crew:
    """Starts every actor at once and waits until the last one holds its model; sampling goes on where the stream is."""
    cluster = config.cluster
    start, call = start_limit(cluster), call_limit(cluster)
    outside = await _outside_teacher(config)
    room = await reserve(cluster, with_reference=config.with_reference)
    # Looks up rank 0's address, for which it waits.
    learners = await asyncio.to_thread(spawn_group, LearnerActor, room.learners, room, cluster)
    reference = None
    if room.reference:
        reference = await asyncio.to_thread(spawn_group, ReferenceActor, room.reference, room, cluster)
    crews = await together(
        [
            peers("learner", learners.workers, start),
            peers("reference", reference.workers if reference else [], start),
            peers("rollout worker", spawn(RolloutActor, room, cluster), start),
            peers("reward worker", spawn(RewardActor, room, cluster), start),
        ]
    )
    of_learners, of_reference, engines, rewarders = crews
    starts = {
        "learner": learners.start([_learner(config)] * cluster.num_learners),
        "reference": reference.start([_reference(config)]) if reference else [],
        "rollout worker": [peer.handle.start.remote(**_engine(config, i)) for i, peer in enumerate(engines)],
        "reward worker": [peer.handle.start.remote(config=config.reward) for peer in rewarders],
    }
    names = [map(str, crew) for crew in crews]
    await together(answers(calls, named, start) for calls, named in zip(starts.values(), names, strict=True))
    policy = RayPolicy(
        learners,
        [str(peer) for peer in of_learners],
        config.algo,
        cluster,
        timings,
        roommates=engines if engine_sleeps(cluster) else (),
    )
    return Crew(
        sampler=RaySampler(engines, config.algo.num_completions, config.seed, stream.position, call, timings),
        judge=RayJudge(rewarders, weights(config.reward), call, timings),
        policy=policy,
        observer=RayObserver(policy, config.localize) if is_computed(config.reward.consistency) else None,
        reference=RayReference(reference, [str(peer) for peer in of_reference], call, timings) if reference else None,
        author=_author(config, stream.samples, outside or RayTeacher(engines, call, timings), timings),
        everyone=tuple(peer for crew in crews for peer in crew),
    )


async def _outside_teacher(config: CrewConfig) -> EndpointTeacher | None:
    """An endpoint, which is greeted before anything is started."""
    if not (config.algo.contrastive and config.rollout.teacher.kind is TeacherKind.endpoint):
        return None
    teacher = EndpointTeacher(config.rollout, PromptBuilder(config.model.path, config.data).messages)
    await teacher.check()
    return teacher


def _author(config: CrewConfig, samples: Sequence[Sample], model: Teacher, timings: Timings) -> Author | None:
    """Who writes what groups without contrast lack; `model` is the teacher that is one."""
    if not config.algo.contrastive:
        return None
    builder = PromptBuilder(config.model.path, config.data)
    tokens = response_tokens(builder, config.model.path, config.rollout)
    kind = config.rollout.teacher.kind
    if kind is TeacherKind.none:
        return Author(None, tokens, config.seed, timings)
    teacher = BorrowedTexts(samples, builder) if kind is TeacherKind.borrowed else model
    return Author(teacher, tokens, config.seed, timings)


def _engine(config: CrewConfig, index: int) -> dict[str, Any]:
    """Options of one RolloutWorker."""
    return {
        "model": config.model,
        "data": config.data,
        "rollout": config.rollout,
        "seed": config.seed + index,
        "sleeps": engine_sleeps(config.cluster),
    }


def _sampling(config: CrewConfig) -> Sampling:
    taught = config.algo.objective is not Objective.grpo
    return Sampling(
        # What is taught was not sampled: the model's own probabilities are meant.
        temperature=1.0 if taught else config.rollout.temperature,
        banned_token_ids=banned_token_ids(config.model.path),
        max_response_tokens=config.rollout.max_response_tokens,
    )


def _learner(config: CrewConfig) -> dict[str, Any]:
    """Options of each Learner rank."""
    return {
        "model": config.model,
        "algo": config.algo,
        "cluster": config.cluster,
        "sampling": _sampling(config),
        "num_updates": config.num_steps * config.algo.num_updates,
        "seed": config.seed,
    }


def _reference(config: CrewConfig) -> dict[str, Any]:
    """Options of the ReferencePolicy."""
    return {"model": config.model, "cluster": config.cluster, "sampling": _sampling(config)}
