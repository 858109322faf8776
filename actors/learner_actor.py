"""Learner and ReferencePolicy behind Ray; their libraries are imported in the actors, not in the driver."""

import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import ray

from actors.waiting import fetched
from actors.watched import Watched
from rl.batching import UpdatePlan
from rl.checkpoints import Record
from rl.types import Group, Logprobs, Observed
from rollout.config import LocalizeConfig

FETCH_TIMEOUT_S = 60.0


@dataclass(frozen=True, kw_only=True)
class Rank:
    """The place of a process in a torch.distributed group."""

    number: int
    count: int
    host: str
    port: int
    """Where the ranks meet: rank 0 listens there."""


class LearnerActor(Watched):
    """One FSDP rank of the learner group."""

    def prepare(self) -> None:
        """Import what `start` needs, which takes seconds."""
        import actors.learner  # noqa: F401

    def free_address(self) -> tuple[str, int]:
        """Host and port at which the ranks can meet when this one is rank 0; nothing holds the port until then."""
        with socket.socket() as found:
            found.bind(("", 0))
            return ray.util.get_node_ip_address(), found.getsockname()[1]

    def start(self, rank: Rank, **options: Any) -> None:
        os.environ.update(
            RANK=str(rank.number), WORLD_SIZE=str(rank.count), MASTER_ADDR=rank.host, MASTER_PORT=str(rank.port)
        )
        from actors.learner import Learner

        self._learner = Learner(**options)

    def update(self, plans: list[UpdatePlan]) -> dict[str, float]:
        return self._learner.update(
            [replace(plan, micro_batches=[with_pixels(groups) for groups in plan.micro_batches]) for plan in plans]
        )

    def observe(self, parts: list[list[Group]], config: LocalizeConfig, with_maps: bool) -> list[list[Observed]]:
        return self._learner.observe([with_pixels(groups) for groups in parts], config, with_maps=with_maps)

    def weights(self) -> dict[str, Any]:
        return self._learner.weights()

    def save(self, folder: str, record: Record) -> None:
        self._learner.save(folder, record)

    def finish_saving(self) -> None:
        self._learner.finish_saving()

    def check_sees(self, path: str) -> None:
        self._learner.check_sees(path)

    def restore(self, folder: str, model: str) -> None:
        self._learner.restore(folder, model)


class ReferenceActor(Watched):
    """The frozen reference."""

    def start(self, **options: Any) -> None:
        from actors.reference import ReferencePolicy

        self._reference = ReferencePolicy(**options)

    def logprobs(self, groups: list[Group]) -> list[Logprobs]:
        return self._reference.logprobs(with_pixels(groups))

    def observe(self, groups: list[Group], config: LocalizeConfig) -> list[Observed]:
        return self._reference.observe(with_pixels(groups), config)


def with_pixels(groups: Sequence[Group]) -> list[Group]:
    """The groups with their images fetched from the object store."""
    return [replace(group, prompt=replace(group.prompt, pixels=_pixels(group))) for group in groups]


def _pixels(group: Group) -> Any:
    return fetched(group.prompt.pixels, f"the images of sample {group.prompt.sample.id}", FETCH_TIMEOUT_S)
