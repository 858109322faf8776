"""Starts the actors of a run: the only file of actors that names ray.remote and verl's worker groups."""

import logging
import socket
from collections.abc import Iterator
from dataclasses import replace
from math import ceil
from typing import Any

import rl.torchvision_ops  # noqa: F401

import ray
from ray.actor import ActorHandle
from ray.util.placement_group import PlacementGroup, placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy
from verl.single_controller.base import Worker
from verl.single_controller.base.decorator import Dispatch, register
from verl.single_controller.ray import RayClassWithInitArgs, RayResourcePool, RayWorkerGroup

from actors.config import ClusterConfig
from actors.learner import Learner
from actors.platform import device_name, worker_env
from actors.reference import Logprobs, ReferencePolicy
from actors.reward_worker import RewardWorker
from actors.rollout_worker import RolloutWorker
from actors.waiting import fetched, placed
from rl.batching import UpdatePlan
from rl.types import Group, Sample, Score

GROUP_CALL = {"dispatch_mode": Dispatch.ALL_TO_ALL, "blocking": False}
"""verl hands each rank its own element of every list argument and returns at once with one reference a rank."""
FETCH_TIMEOUT_S = 60.0


class RolloutActor:
    """RolloutWorker behind Ray: pixels stay in the object store, the driver sees references."""

    def start(self, **options: Any) -> None:
        self._worker = RolloutWorker(**options)

    def generate(self, samples: list[Sample], num_completions: int, greedy: bool, first_seed: int) -> Iterator[Any]:
        """Two objects a group: (index, group without pixels), then its pixels, which the driver never reads."""
        for index, group in self._worker.generate(samples, num_completions, greedy, first_seed):
            yield index, replace(group, prompt=replace(group.prompt, pixels=None))
            yield group.prompt.pixels

    def load(self, weights: dict[str, Any], version: int) -> None:
        self._worker.load(weights, version)

    def drain_generate_s(self) -> float:
        return self._worker.drain_generate_s()


class RewardActor:
    """RewardWorker behind Ray: only the scores travel back."""

    def start(self, **options: Any) -> None:
        self._worker = RewardWorker(**options)

    def score(self, group: Group) -> tuple[Score, ...]:
        return self._worker.score(group).scores


class LearnerActor(Worker):
    """One FSDP rank of the learner group."""

    @register(**GROUP_CALL)
    def start(self, options: dict[str, Any]) -> None:
        self._learner = Learner(**options)

    @register(**GROUP_CALL)
    def update(self, plans: list[UpdatePlan]) -> dict[str, float]:
        return self._learner.update(
            [replace(plan, micro_batches=[with_pixels(groups) for groups in plan.micro_batches]) for plan in plans]
        )

    @register(**GROUP_CALL)
    def weights(self, _: None) -> dict[str, Any]:
        return self._learner.weights()

    @register(**GROUP_CALL)
    def save(self, folder: str) -> None:
        self._learner.save(folder)


class ReferenceActor(Worker):
    """One rank of the frozen reference."""

    @register(**GROUP_CALL)
    def start(self, options: dict[str, Any]) -> None:
        self._reference = ReferencePolicy(**options)

    @register(**GROUP_CALL)
    def logprobs(self, groups: list[Group]) -> list[Logprobs]:
        return self._reference.logprobs(with_pixels(groups))


class RankGroup(RayWorkerGroup):
    """verl's group, but its look-up of rank 0 takes no CPU, where verl wants a whole one of any bundle."""

    def __init__(self, *, start_timeout_s: float, **options: Any) -> None:
        self._start_timeout_s = start_timeout_s
        super().__init__(**options)

    def _get_master_addr_port(self, pg: PlacementGroup, bundle_index: int = 0, master_port_range: Any = None) -> None:
        first = PlacementGroupSchedulingStrategy(pg, placement_group_bundle_index=bundle_index)
        call = ray.remote(_free_address).options(num_cpus=0, scheduling_strategy=first).remote()
        self._master_addr, self._master_port = fetched(call, "the address of rank 0", self._start_timeout_s)


def start_ray(config: ClusterConfig, *, with_reference: bool) -> None:
    """Joins the cluster at config.address, or starts Ray on this machine with what the run asks for."""
    need = {
        "CPU": config.cpus_needed(with_reference=with_reference),
        "GPU": config.gpus_needed(with_reference=with_reference),
    }
    if config.address:
        ray.init(address=config.address, log_to_driver=False, logging_level=logging.ERROR)
    else:
        ray.init(num_cpus=ceil(need["CPU"]), include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    room = ray.cluster_resources()
    for kind, amount in need.items():
        if amount > room.get(kind, 0):
            raise ValueError(f"the run needs {amount:g} {kind}s and Ray has {room.get(kind, 0):g}; change cluster.*")


def spawn(kind: type, config: ClusterConfig) -> ActorHandle:
    """One plain actor; reward workers take CPUs only."""
    if kind is RewardActor:
        resources = {"num_cpus": config.cpus_per_reward_worker, "num_gpus": 0.0}
    else:
        resources = {"num_cpus": config.cpus_per_actor, "num_gpus": config.gpus_per_actor}
    return ray.remote(kind).options(runtime_env={"env_vars": worker_env(config)}, **resources).remote()


def spawn_group(kind: type, count: int, config: ClusterConfig) -> RankGroup:
    """`count` ranks of one torch.distributed group, placed together by verl's single controller."""
    use_gpu = config.gpus_per_actor > 0
    pool = RayResourcePool([count], use_gpu=use_gpu, max_colocate_count=1)
    pool.pgs = [_reserve(kind.__name__, count, config)]
    actor = RayClassWithInitArgs(cls=ray.remote(kind))
    actor.update_options({"num_cpus": config.cpus_per_actor})
    return RankGroup(
        start_timeout_s=config.start_timeout_s,
        resource_pool=pool,
        ray_cls_with_init=actor,
        device_name=device_name(use_gpu),
        worker_env=worker_env(config),
    )


def _free_address() -> tuple[str, str]:
    with socket.socket() as found:
        found.bind(("", 0))
        return ray.util.get_node_ip_address(), str(found.getsockname()[1])


def _reserve(name: str, count: int, config: ClusterConfig) -> PlacementGroup:
    bundle = {"CPU": config.cpus_per_actor, "GPU": config.gpus_per_actor}
    wanted = {resource: amount for resource, amount in bundle.items() if amount}
    group = placement_group([wanted] * count, strategy="PACK")
    return placed(group, f"{count} x {name} with {wanted}", config.start_timeout_s)


def with_pixels(groups: list[Group]) -> list[Group]:
    """The groups with their images fetched from the object store."""
    return [replace(group, prompt=replace(group.prompt, pixels=_pixels(group))) for group in groups]


def _pixels(group: Group) -> Any:
    return fetched(group.prompt.pixels, f"the images of sample {group.prompt.sample.id}", FETCH_TIMEOUT_S)
