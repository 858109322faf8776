"""Turns samples into groups with the current policy's weights."""

from collections.abc import Iterator, Mapping, Sequence

from torch import Tensor

from actors.config import ModelConfig
from rl.data.config import DataConfig
from rl.data.prompts import PromptBuilder
from rl.types import Group, Sample
from rollout.collect import collect_groups
from rollout.config import RolloutConfig


class RolloutWorker:
    """One engine and the prompt builder that feeds it."""

    def __init__(self, model: ModelConfig, data: DataConfig, rollout: RolloutConfig, seed: int, sleeps: bool) -> None:
        # vLLM takes seconds to import, and the driver imports this file only to name the class.
        from rollout.engine import Engine

        self._builder = PromptBuilder(model.path, data)
        self._engine = Engine(model.path, rollout, dtype=model.precision.value, seed=seed, sleeps=sleeps)

    def generate(
        self, samples: Sequence[Sample], num_completions: int, greedy: bool, first_seed: int
    ) -> Iterator[tuple[int, Group]]:
        """Yields (index of the sample, its group) as groups finish."""
        return collect_groups(
            self._engine,
            self._builder,
            samples,
            num_completions=num_completions,
            greedy=greedy,
            first_seed=first_seed,
        )

    def write(self, samples: Sequence[Sample], num_completions: int, first_seed: int) -> list[list[str]]:
        """For each sample the texts of those completions that came to an end by themselves."""
        groups = dict(self.generate(samples, num_completions, greedy=False, first_seed=first_seed))
        return [
            [answer.text for answer in groups[index].completions if answer.finish_reason == "stop"]
            for index in range(len(samples))
        ]

    def load(self, weights: Mapping[str, Tensor], version: int) -> None:
        """Takes the learners' weights; later completions carry `version`."""
        self._engine.load_weights(weights, version)

    def sleep(self) -> None:
        """Gives the GPU's memory away until samples or weights come."""
        self._engine.sleep()

    def drain_generate_s(self) -> float:
        """Seconds spent sampling since the last call."""
        return self._engine.drain_generate_s()
