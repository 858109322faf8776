"""Brings a run's actors up and hands out the roles that they play."""

import asyncio
from dataclasses import dataclass
from typing import Any

from actors.config import ClusterConfig, ModelConfig, ReferenceKind
from actors.learner import Sampling
from actors.spawn import LearnerActor, ReferenceActor, RewardActor, RolloutActor, spawn, spawn_group
from actors.team import RayJudge, RayPolicy, RayReference, RaySampler
from actors.waiting import answers
from rewards.config import RewardConfig
from rl.algorithm import AlgoConfig
from rl.data.config import DataConfig
from rl.timing import Timings
from rollout.banned import banned_token_ids
from rollout.config import RolloutConfig


@dataclass(frozen=True, kw_only=True)
class CrewConfig:
    """What the actors need to know, section by section."""

    model: ModelConfig
    data: DataConfig
    algo: AlgoConfig
    rollout: RolloutConfig
    reward: RewardConfig
    cluster: ClusterConfig
    num_steps: int
    seed: int

    @property
    def with_reference(self) -> bool:
        """Whether a frozen copy of the starting policy runs beside the learners."""
        return self.algo.kl_weight > 0 and self.cluster.reference is ReferenceKind.actor


@dataclass(frozen=True, kw_only=True)
class Crew:
    """The roles of rl.roles, played by started actors."""

    sampler: RaySampler
    judge: RayJudge
    policy: RayPolicy
    reference: RayReference | None


async def start_crew(config: CrewConfig, timings: Timings) -> Crew:
    """Starts every actor at once and waits until the last one holds its model."""
    cluster = config.cluster
    learners = spawn_group(LearnerActor, cluster.num_learners, cluster)
    reference = spawn_group(ReferenceActor, 1, cluster) if config.with_reference else None
    engines = [spawn(RolloutActor, cluster) for _ in range(cluster.num_rollout_workers)]
    rewarders = [spawn(RewardActor, cluster) for _ in range(cluster.num_reward_workers)]

    starts = {
        "rollout worker": [engine.start.remote(**_engine(config, index)) for index, engine in enumerate(engines)],
        "reward worker": [rewarder.start.remote(config=config.reward) for rewarder in rewarders],
        "learner": learners.start([_learner(config)] * cluster.num_learners),
        "reference": reference.start([_reference(config)]) if reference else [],
    }
    await asyncio.gather(*(answers(calls, who, cluster.start_timeout_s) for who, calls in starts.items()))
    timeout_s = cluster.call_timeout_s
    return Crew(
        sampler=RaySampler(engines, config.algo.num_completions, config.seed, timeout_s, timings),
        judge=RayJudge(rewarders, config.reward.timeout_s, timings),
        policy=RayPolicy(learners, config.algo, cluster, timings),
        reference=RayReference(reference, cluster, timings) if reference else None,
    )


def _engine(config: CrewConfig, index: int) -> dict[str, Any]:
    """Options of one RolloutWorker."""
    return {"model": config.model, "data": config.data, "rollout": config.rollout, "seed": config.seed + index}


def _sampling(config: CrewConfig) -> Sampling:
    return Sampling(
        temperature=config.rollout.temperature,
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
