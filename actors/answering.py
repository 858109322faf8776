"""Engines alone, for runs that learn nothing: they give probabilities of options and write texts to order."""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from actors.config import ClusterConfig, ModelConfig
from actors.peers import Peer, Startup, ask, spread
from actors.rollout_worker import RolloutWorker
from actors.room import call_limit, reserve, start_limit
from actors.setups import EngineSetup
from actors.spawn import spawn
from actors.waiting import Limit
from rl.data.config import DataConfig
from rl.data.pairs.trajectories import Order
from rl.types import Sample
from rollout.config import RolloutConfig


@dataclass(frozen=True, kw_only=True)
class AnsweringConfig:
    """Config sections of the engines."""

    model: ModelConfig
    data: DataConfig
    rollout: RolloutConfig
    cluster: ClusterConfig
    """Without learners and reward workers."""


class Engines:
    """Rollout workers whose answers to a batch depend on the batch and its seed alone, not on earlier batches."""

    def __init__(self, workers: Sequence[Peer], limit: Limit) -> None:
        self.everyone = tuple(workers)
        self._limit = limit

    async def option_logprobs(
        self, samples: Sequence[Sample], num_answers: int, seed: int
    ) -> list[list[dict[str, float]]]:
        """Return for each answer to a sample the log-prob of each option's letter; {} if the answer has no option."""
        await self._forget()
        found: list[list[dict[str, float]]] = await spread(
            self.everyone,
            samples,
            lambda handle, share, number: handle.option_logprobs.remote(share, num_answers, first_seed=seed + number),
            self._limit,
        )
        return found

    async def write(self, orders: Sequence[Order]) -> list[str]:
        """Write the texts with the model itself, which reads the hints (rl.data.pairs.trajectories.PairTeacher)."""
        await self._forget()
        # vLLM takes a seed for a batch, not for each text.
        seed = zlib.crc32("/".join(str(order.seed) for order in orders).encode())
        texts = await spread(
            self.everyone,
            [order.hinted for order in orders],
            lambda handle, share, number: handle.write.remote(share, num_completions=1, first_seed=seed + number),
            self._limit,
        )
        return [text[0] if text else "" for text in texts]

    async def _forget(self) -> None:
        await ask(self.everyone, lambda handle: handle.forget.remote(), self._limit)


async def start_engines(config: AnsweringConfig, say: Callable[[str], None]) -> Engines:
    """Start every engine at once and wait until the last one holds its model."""
    cluster = config.cluster
    room = await reserve(cluster, with_reference=False)
    startup = Startup(start_limit(cluster), say)
    setup = EngineSetup(model=config.model, data=config.data, rollout=config.rollout, seed=0)
    workers = await startup.started(
        "rollout worker", spawn(RolloutWorker, room, cluster), lambda handle, _: handle.start.remote(setup)
    )
    return Engines(workers, call_limit(cluster))
