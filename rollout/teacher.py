"""Teachers, who write wrong answers to order: an OpenAI-compatible endpoint, or reference texts of other samples."""

import asyncio
import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Protocol

from rl.contrast import Repair, hinted, truth
from rl.data.prompts import PromptBuilder, answer_text
from rl.types import Sample, Target, Task
from rollout.config import RolloutConfig
from rollout.endpoint import Endpoint, Request

ANY = ""
"""All categories together."""


class Teacher(Protocol):
    async def write(self, repairs: Sequence[Repair], seed: int) -> list[list[str]]:
        """Return, for each repair, at most as many texts as it has places, written under its hint."""


class EndpointTeacher:
    """Asks an endpoint in the words of the run's prompts."""

    def __init__(
        self, config: RolloutConfig, messages: Callable[[Sample], list[dict[str, str]]], say: Callable[[str], None]
    ) -> None:
        """`say` is told when the endpoint is waited for."""
        self._endpoint = Endpoint(config, say)
        self._messages = messages

    async def check(self) -> None:
        """Raise a RunFailure if the endpoint does not answer now."""
        await self._endpoint.check()

    async def write(self, repairs: Sequence[Repair], seed: int) -> list[list[str]]:
        places = [(repair, number) for repair in repairs for number in range(len(repair.places))]
        texts = iter(await self._endpoint.texts([self._request(repair, seed + number) for repair, number in places]))
        return [[text for _ in repair.places if (text := next(texts))] for repair in repairs]

    def _request(self, repair: Repair, seed: int) -> Request:
        """Return the run's own prompt with the hint."""
        prompt = repair.group.prompt
        messages = self._messages(hinted(prompt.sample, repair.untruth))
        return Request(messages=messages, images=prompt.sample.images, image_size=prompt.image_size, seed=seed)


class BorrowedTexts:
    """Lends reference texts of samples for which the hint is true: fluent, well-formed, and wrong for other samples."""

    def __init__(self, samples: Sequence[Sample], builder: PromptBuilder) -> None:
        self._builder = builder
        self._samples: defaultdict[tuple[Task, str, str], list[Sample]] = defaultdict(list)
        for sample in samples:
            if sample.target.rationale:
                told = _said(sample.target, truth(sample.task, sample.target))
                for category in (sample.category, ANY):
                    self._samples[sample.task, told, category].append(sample)

    async def write(self, repairs: Sequence[Repair], seed: int) -> list[list[str]]:
        return [await asyncio.to_thread(self._texts, repair, seed) for repair in repairs]

    def _texts(self, repair: Repair, seed: int) -> list[str]:
        """Return texts of samples of the same category, if there are any, else of all categories."""
        sample = repair.group.prompt.sample
        told = _said(sample.target, repair.untruth)
        lenders = self._samples[sample.task, told, sample.category] or self._samples[sample.task, told, ANY]
        chosen = random.Random(f"{seed}/{sample.id}").sample(lenders, min(len(repair.places), len(lenders)))
        # Built, so that boxes are in the pixels that the model sees.
        targets = [self._builder.build(lender).target for lender in chosen]
        return [answer_text(target, sample.task) for target in targets]


def _said(target: Target, verdict: str) -> str:
    """Return a verdict; an option with its words too, since another sample may have them at another letter."""
    return f"{verdict} {target.options[verdict]}" if verdict in target.options else verdict
