"""Starts the actors of a run: the only file of actors that names ray.remote and verl's worker groups."""

import socket
from dataclasses import replace
from typing import Any

import rl.torchvision_ops  # noqa: F401

import ray
from ray.actor import ActorHandle
from ray.util.placement_group import PlacementGroup
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy
from verl.single_controller.base import Worker
from verl.single_controller.base.decorator import Dispatch, register
from verl.single_controller.ray import RayClassWithInitArgs, RayWorkerGroup
from verl.single_controller.ray.base import SubRayResourcePool

from actors.config import ClusterConfig
from actors.learner import Learner
from actors.looking import Seen
from actors.platform import device_name, worker_env
from actors.reference import Logprobs, ReferencePolicy
from actors.reward_actor import RewardActor
from actors.room import Room
from actors.waiting import fetched
from actors.watched import PULSE, Watched
from rl.batching import UpdatePlan
from rl.checkpoints import Record
from rl.types import Group
from rollout.config import LocalizeConfig

GROUP_CALL = {"dispatch_mode": Dispatch.ALL_TO_ALL, "blocking": False}
"""verl hands each rank its own element of every list argument and returns at once with one reference a rank."""
FETCH_TIMEOUT_S = 60.0


class LearnerActor(Worker, Watched):
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
    def look(self, parts: list[list[Group]], config: LocalizeConfig, with_maps: bool) -> list[list[Seen]]:
        return self._learner.look([with_pixels(groups) for groups in parts], config, with_maps=with_maps)

    @register(**GROUP_CALL)
    def weights(self, _: None) -> dict[str, Any]:
        return self._learner.weights()

    @register(**GROUP_CALL)
    def save(self, folder: str, record: Record) -> None:
        self._learner.save(folder, record)

    @register(**GROUP_CALL)
    def finish_saving(self, _: None) -> None:
        self._learner.finish_saving()

    @register(**GROUP_CALL)
    def check_sees(self, path: str) -> None:
        self._learner.check_sees(path)

    @register(**GROUP_CALL)
    def restore(self, folder: str, model: str) -> None:
        self._learner.restore(folder, model)


class ReferenceActor(Worker, Watched):
    """One rank of the frozen reference."""

    @register(**GROUP_CALL)
    def start(self, options: dict[str, Any]) -> None:
        self._reference = ReferencePolicy(**options)

    @register(**GROUP_CALL)
    def logprobs(self, groups: list[Group]) -> list[Logprobs]:
        return self._reference.logprobs(with_pixels(groups))

    @register(**GROUP_CALL)
    def look(self, groups: list[Group], config: LocalizeConfig) -> list[Seen]:
        return self._reference.look(with_pixels(groups), config)


class RankGroup(RayWorkerGroup):
    """verl's group, but its look-up of rank 0 takes no CPU, where verl wants a whole one of any bundle."""

    def __init__(self, *, start_timeout_s: float, **options: Any) -> None:
        self._start_timeout_s = start_timeout_s
        super().__init__(**options)

    def _get_master_addr_port(self, pg: PlacementGroup, bundle_index: int = 0, master_port_range: Any = None) -> None:
        first = PlacementGroupSchedulingStrategy(pg, placement_group_bundle_index=bundle_index)
        call = ray.remote(_free_address).options(num_cpus=0, scheduling_strategy=first).remote()
        self._master_addr, self._master_port = fetched(call, "the address of rank 0", self._start_timeout_s)


def spawn(kind: type, room: Room, config: ClusterConfig) -> list[ActorHandle]:
    """The plain actors of a kind, each in its part of the room; reward workers take CPUs only."""
    if kind is RewardActor:
        bundles, resources = room.reward_workers, {"num_cpus": config.cpus_per_reward_worker, "num_gpus": 0.0}
    else:
        bundles, resources = room.rollout_workers, {"num_cpus": config.cpus_per_actor, "num_gpus": room.gpus_each}
    actor = _remote(kind)
    env = {"env_vars": worker_env(config)}
    places = [PlacementGroupSchedulingStrategy(room.group, placement_group_bundle_index=bundle) for bundle in bundles]
    return [actor.options(runtime_env=env, scheduling_strategy=place, **resources).remote() for place in places]


def spawn_group(kind: type, bundles: list[int], room: Room, config: ClusterConfig) -> RankGroup:
    """The ranks of one torch.distributed group, in consecutive bundles, under verl's single controller."""
    use_gpu = config.gpus_per_actor > 0
    pool = SubRayResourcePool(
        placement_groups=[room.group],
        start_bundle_index=bundles[0],
        subgroup_world_size=len(bundles),
        process_on_nodes=[room.group.bundle_count],
        use_gpu=use_gpu,
        # verl gives each rank one part in so many of a GPU.
        max_colocate_count=1 / room.gpus_each if use_gpu else 1,
    )
    actor = RayClassWithInitArgs(cls=_remote(kind))
    actor.update_options({"num_cpus": config.cpus_per_actor})
    return RankGroup(
        start_timeout_s=config.start_timeout_s,
        resource_pool=pool,
        ray_cls_with_init=actor,
        device_name=device_name(use_gpu),
        worker_env=worker_env(config),
    )


def _remote(kind: type) -> Any:
    return ray.remote(concurrency_groups={PULSE: 1})(kind)


def _free_address() -> tuple[str, str]:
    with socket.socket() as found:
        found.bind(("", 0))
        return ray.util.get_node_ip_address(), str(found.getsockname()[1])


def with_pixels(groups: list[Group]) -> list[Group]:
    """The groups with their images fetched from the object store."""
    return [replace(group, prompt=replace(group.prompt, pixels=_pixels(group))) for group in groups]


def _pixels(group: Group) -> Any:
    return fetched(group.prompt.pixels, f"the images of sample {group.prompt.sample.id}", FETCH_TIMEOUT_S)
