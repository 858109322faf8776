"""Connects to Ray and reserves the room of a run: one placement group, all of it or nothing."""

import asyncio
import atexit
import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil, floor
from typing import Any

import ray
from ray._private import services, worker
from ray._private.state import available_resources_per_node
from ray.util.client import ray as client
from ray.util.placement_group import PlacementGroup, placement_group

from actors.config import ClusterConfig, Placement
from actors.head import Head
from actors.leaving import LEAVING, is_leaving
from actors.placement import Machine, Slot, num_sharing, plan, slots
from actors.waiting import Limit, answer
from rl.faults import RunFailure, UserError, one_line

CONNECT_TIMEOUT_S = 10.0
LEAVE_S = 10.0
"""Longest wait for Ray to shut down, which takes about two seconds and has no limit of its own; twice this, after the
time in which the loss of the GCS is noticed, ends before Ray aborts the process."""
NODE_LABEL = "ray.io/node-id"
GPU_STEP = 1e-4
"""Smallest share of a GPU that Ray counts."""


@dataclass(frozen=True, kw_only=True)
class Room:
    """A run's placement group, and the numbers of its bundles by kind of actor."""

    group: PlacementGroup
    learners: list[int]
    reference: list[int]
    rollout_workers: list[int]
    reward_workers: list[int]
    gpus_each: float
    """GPUs of each actor that holds a model."""


def join_ray(config: ClusterConfig, *, with_reference: bool) -> Head:
    """Join the cluster at cluster.address or RAY_ADDRESS, or start Ray here with the resources of the run.

    Return the head, without which the run cannot live.
    """
    if is_leaving():
        raise RunFailure("Ray of the run before hangs in this process; go on in a new one, with resume=auto")
    address = config.address or os.environ.get("RAY_ADDRESS", "")
    if not address:
        cpus = ceil(sum(slot.cpus for slot in slots(config, with_reference=with_reference)))
        with _in_groups_of_their_own():
            # "local" even if some other cluster runs on this machine.
            ray.init("local", num_cpus=cpus, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
        return _head()
    _check_reachable(address)
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except ValueError as error:
        raise UserError(
            f"cluster.address={address}: {one_line(error)[:300]}; give host:port or ray://host:port"
        ) from error
    except (ConnectionError, RuntimeError) as error:
        raise RunFailure(f"cluster.address={address}: {one_line(error)[:300]}") from error
    return _head()


def _head() -> Head:
    return Head(address="" if client.is_connected() else ray.get_runtime_context().gcs_address)


def leave_ray() -> None:
    """Shut Ray down; if that does not end in LEAVE_S, kill the GCS of a Ray that was started here, then all of it."""
    if is_leaving():
        # An earlier run's, which has been given up.
        return
    # At Python's exit it would be called once more, and waited for, even if Ctrl-C ends the waiting here.
    atexit.unregister(ray.shutdown)
    node = worker._global_node
    leaving = threading.Thread(target=ray.shutdown, name=LEAVING, daemon=True)
    leaving.start()
    try:
        leaving.join(LEAVE_S)
        if leaving.is_alive():
            print(
                f"Ray did not end in {LEAVE_S:g} s, as if its GCS hung; the run has its record and goes",
                file=sys.stderr,
            )
        if node and leaving.is_alive():
            # The shutdown waits without a limit for the GCS to drop a subscription, and goes on once the connection
            # breaks.
            node.kill_gcs_server(check_alive=False)
            leaving.join(LEAVE_S)
    finally:
        if node and leaving.is_alive():
            node.kill_all_processes(check_alive=False)


@contextmanager
def _in_groups_of_their_own() -> Iterator[None]:
    """Start Ray's processes outside the run's process group.

    Ctrl-C and a scheduler's SIGTERM reach the whole group, and Ray must live on until a checkpoint is written.
    """

    class OwnGroup(services.ConsolePopen):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, process_group=0, **options)

    original, services.ConsolePopen = services.ConsolePopen, OwnGroup
    try:
        yield
    finally:
        services.ConsolePopen = original


def _check_reachable(address: str) -> None:
    """Raise a RunFailure if nothing answers at the address; Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if not port.isdigit() or "://" in address:
        return
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT_TIMEOUT_S).close()
    except OSError as error:
        raise RunFailure(f"cluster.address={address}: no Ray cluster answers there ({error})") from error


def start_limit(config: ClusterConfig) -> Limit:
    return Limit(seconds=config.start_timeout_s, key="cluster.start_timeout_s")


def call_limit(config: ClusterConfig) -> Limit:
    return Limit(seconds=config.call_timeout_s, key="cluster.call_timeout_s")


async def reserve(config: ClusterConfig, *, with_reference: bool) -> Room:
    """Plan where each actor goes and reserve it; wait only for resources that other runs hold."""
    wanted = slots(config, with_reference=with_reference)
    plan(wanted, _machines(free=False), config.placement)
    deadline = time.monotonic() + config.start_timeout_s
    while True:
        try:
            chosen = plan(wanted, _machines(free=True), config.placement)
            break
        except UserError as error:
            if time.monotonic() > deadline:
                raise RunFailure(f"no room in cluster.start_timeout_s={config.start_timeout_s:g}: {error}") from error
            await asyncio.sleep(1)
    group = placement_group(
        [_bundle(slot) for slot in wanted], bundle_label_selector=[{NODE_LABEL: machine.id} for machine in chosen]
    )
    need = f"{len(wanted)} actors on {len({machine.id for machine in chosen})} machines"
    await answer(group.ready(), f"Ray, asked for room for {need},", start_limit(config))
    return _room(group, wanted, config, with_reference)


def _room(group: PlacementGroup, wanted: list[Slot], config: ClusterConfig, with_reference: bool) -> Room:
    learners, reference, rollouts, rewards = (
        [index for index, slot in enumerate(wanted) if slot.kind == kind]
        for kind in ("learner", "reference", "rollout worker", "reward worker")
    )
    if config.placement is Placement.colocated:
        rollouts, reference = learners, learners[:1] if with_reference else []
    share = config.gpus_per_actor / num_sharing(config, with_reference=with_reference)
    return Room(
        group=group,
        learners=learners,
        reference=reference,
        rollout_workers=rollouts,
        reward_workers=rewards,
        gpus_each=floor(share / GPU_STEP) * GPU_STEP,
    )


def _machines(*, free: bool) -> list[Machine]:
    """Return the living nodes, with all their resources or only the free ones."""
    left = available_resources_per_node() if free else {}
    nodes = [node for node in ray.nodes() if node["Alive"]]
    found = []
    for node in sorted(nodes, key=lambda node: str(node["NodeID"])):
        has = left.get(node["NodeID"], {}) if free else node["Resources"]
        name = node["NodeManagerHostname"]
        found.append(Machine(id=node["NodeID"], name=name, cpus=has.get("CPU", 0.0), gpus=has.get("GPU", 0.0)))
    return found


def _bundle(slot: Slot) -> dict[str, float]:
    return {name: amount for name, amount in {"CPU": slot.cpus, "GPU": slot.gpus}.items() if amount}
