"""Creates the actors of a run: the only file of actors that names ray.remote."""

import ray
from ray.actor import ActorHandle
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from actors.config import ClusterConfig
from actors.learner import Learner
from actors.platform import worker_env
from actors.reference import ReferencePolicy
from actors.reward_worker import RewardWorker
from actors.rollout_worker import RolloutWorker
from actors.room import Room
from actors.watched import PRESENCE, PULSE, Watched


def spawn(kind: type[Watched], room: Room, config: ClusterConfig) -> list[ActorHandle]:
    """Create the actors of a kind, each in its part of the room; reward workers take CPUs only."""
    bundles = {
        Learner: room.learners,
        ReferencePolicy: room.reference,
        RolloutWorker: room.rollout_workers,
        RewardWorker: room.reward_workers,
    }[kind]
    cpus, gpus = config.cpus_per_actor, room.gpus_each
    if kind is RewardWorker:
        cpus, gpus = config.cpus_per_reward_worker, 0.0
    actor = ray.remote(concurrency_groups={PULSE: 1, PRESENCE: 1})(kind)
    return [
        actor.options(
            num_cpus=cpus,
            num_gpus=gpus,
            runtime_env={"env_vars": worker_env(config)},
            scheduling_strategy=PlacementGroupSchedulingStrategy(room.group, placement_group_bundle_index=bundle),
        ).remote()
        for bundle in bundles
    ]
