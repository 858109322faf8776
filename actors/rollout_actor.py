"""RolloutWorker behind Ray."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from actors.rollout_worker import RolloutWorker
from actors.watched import Watched
from rl.types import Sample


class RolloutActor(Watched):
    """RolloutWorker behind Ray: pixels stay in the object store, the driver sees references."""

    def start(self, **options: Any) -> None:
        self._worker = RolloutWorker(**options)

    def generate(self, samples: list[Sample], num_completions: int, greedy: bool, first_seed: int) -> Iterator[Any]:
        """Two objects a group: (index, group without pixels), then its pixels, which the driver never reads."""
        for index, group in self._worker.generate(samples, num_completions, greedy, first_seed):
            yield index, replace(group, prompt=replace(group.prompt, pixels=None))
            yield group.prompt.pixels

    def write(self, samples: list[Sample], num_completions: int, first_seed: int) -> list[list[str]]:
        return self._worker.write(samples, num_completions, first_seed)

    def forget(self) -> None:
        self._worker.forget()

    def option_logprobs(self, samples: list[Sample], num_answers: int, first_seed: int) -> list[list[dict[str, float]]]:
        return self._worker.option_logprobs(samples, num_answers, first_seed)

    def load(self, weights: dict[str, Any], version: int) -> None:
        self._worker.load(weights, version)

    def sleep(self) -> None:
        self._worker.sleep()

    def drain_generate_s(self) -> float:
        return self._worker.drain_generate_s()
