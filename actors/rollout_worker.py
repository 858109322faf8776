"""Turns samples into groups with the current policy's weights."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from torch import Tensor

from actors.config import ModelConfig
from rewards.rival import Crossroads, crossroads_of
from rl.data.config import DataConfig
from rl.data.prompts import PromptBuilder
from rl.types import Completion, Group, Prompt, Sample
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

    def option_logprobs(
        self, samples: Sequence[Sample], num_answers: int, first_seed: int
    ) -> list[list[dict[str, float]]]:
        """For each answer to a sample the log-probability of each option's letter where the answer has its own.

        {} for an answer that has none. One answer is made of the likeliest tokens, several are sampled.
        """
        groups = dict(self.generate(samples, num_answers, greedy=num_answers == 1, first_seed=first_seed))
        answers = [(group, answer) for _, group in sorted(groups.items()) for answer in group.completions]
        crossroads = [self._crossroads(group.prompt, answer) for group, answer in answers]
        prefixed = [
            replace(group.prompt, token_ids=(*group.prompt.token_ids, *answer.token_ids[: found.place]))
            for (group, answer), found in zip(answers, crossroads, strict=True)
            if found
        ]
        scores = iter(self._engine.next_logprobs(prefixed, [[*each.options.values()] for each in crossroads if each]))
        told = [dict(zip(found.options, next(scores), strict=True)) if found else {} for found in crossroads]
        return [told[first : first + num_answers] for first in range(0, len(told), num_answers)]

    def _crossroads(self, prompt: Prompt, answer: Completion) -> Crossroads | None:
        builder, tokens = self._builder, answer.token_ids
        letters = prompt.target.options
        return crossroads_of(
            builder.pieces(tokens), builder.names(tokens), builder.vocabulary, prompt.sample.task, letters
        )

    def forget(self) -> None:
        """Makes the next call independent of earlier ones, to the last bit."""
        self._engine.forget()

    def load(self, weights: Mapping[str, Tensor], version: int) -> None:
        """Takes the learners' weights; later completions carry `version`."""
        self._engine.load_weights(weights, version)

    def sleep(self) -> None:
        """Gives the GPU's memory away until samples or weights come."""
        self._engine.sleep()

    def drain_generate_s(self) -> float:
        """Seconds spent sampling since the last call."""
        return self._engine.drain_generate_s()
