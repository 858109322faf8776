"""A teacher of trajectories behind an OpenAI-compatible endpoint."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

from rl.data.config import DataConfig, Instructions
from rl.data.pairs.trajectories import Order
from rl.data.prompts import PromptBuilder
from rollout.config import RolloutConfig
from rollout.endpoint import Endpoint, Request


class EndpointPairTeacher:
    """Asks in the words of the run's prompts, with the hint after the question and the form of the answer."""

    def __init__(self, config: RolloutConfig, model_path: str, data: DataConfig, say: Callable[[str], None]) -> None:
        """`say` is told when the endpoint is waited for."""
        self._endpoint = Endpoint(config, say)
        # The run's own model may know the form without being told; the model of the endpoint does not.
        self._builder = PromptBuilder(model_path, replace(data, instructions=Instructions.paper))

    async def check(self) -> None:
        """Raise a RunFailure if the endpoint does not answer now."""
        await self._endpoint.check()

    async def write(self, orders: Sequence[Order]) -> list[str]:
        requests = await asyncio.to_thread(lambda: [self._request(order) for order in orders])
        return await self._endpoint.texts(requests)

    def _request(self, order: Order) -> Request:
        return Request(
            messages=self._builder.messages(order.hinted),
            images=order.sample.images,
            image_size=self._builder.build(order.sample).image_size,
            seed=order.seed,
        )
