"""Turns samples into groups with the current policy's weights."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from torch import Tensor

from actors.pixels import without_pixels
from actors.setups import EngineSetup
from actors.watched import Watched
from rewards.rival import Crossroads, crossroads_of
from rl.data.prompts import PromptBuilder
from rl.types import Completion, Group, Pixels, Prompt, Sample
from rollout.collect import collect_groups


class RolloutWorker(Watched):
    """An engine and the prompt builder that feeds it."""

    def start(self, setup: EngineSetup) -> None:
        # vLLM takes seconds to import, and the driver imports this file only to name the class.
        from rollout.engine import Engine

        model = setup.model
        self._builder = PromptBuilder(model.path, setup.data)
        self._engine = Engine(
            model.path, setup.rollout, dtype=model.precision.value, seed=setup.seed, sleeps=setup.sleeps
        )

    def generate(
        self, samples: Sequence[Sample], num_completions: int, greedy: bool, first_seed: int
    ) -> Iterator[tuple[int, Group] | Pixels | None]:
        """For each finished group yield two items: (index of the sample, group without pixels), then its pixels.

        Ray makes an object of each item, so the driver passes pixels on without reading them.
        """
        for index, group in self._groups(samples, num_completions, greedy, first_seed):
            yield index, without_pixels(group)
            yield group.prompt.pixels

    def write(self, samples: Sequence[Sample], num_completions: int, first_seed: int) -> list[list[str]]:
        """Return for each sample the texts of the completions that were not cut off."""
        groups = dict(self._groups(samples, num_completions, False, first_seed))
        return [
            [answer.text for answer in groups[index].completions if answer.finish_reason == "stop"]
            for index in range(len(samples))
        ]

    def option_logprobs(
        self, samples: Sequence[Sample], num_answers: int, first_seed: int
    ) -> list[list[dict[str, float]]]:
        """Return for each answer to a sample the log-probability of each option's letter at the place of the choice.

        An answer that chooses no option gives {}. A single answer takes the likeliest tokens, several are sampled.
        """
        groups = dict(self._groups(samples, num_answers, num_answers == 1, first_seed))
        answers = [(group, answer) for _, group in sorted(groups.items()) for answer in group.completions]
        crossroads = [self._crossroads(group.prompt, answer) for group, answer in answers]
        prefixed = [
            replace(group.prompt, token_ids=(*group.prompt.token_ids, *answer.token_ids[: found.place]))
            for (group, answer), found in zip(answers, crossroads, strict=True)
            if found
        ]
        scores = iter(self._engine.next_logprobs(prefixed, [[*each.options.values()] for each in crossroads if each]))
        logprobs = [dict(zip(found.options, next(scores), strict=True)) if found else {} for found in crossroads]
        return [logprobs[first : first + num_answers] for first in range(0, len(logprobs), num_answers)]

    def _groups(
        self, samples: Sequence[Sample], num_completions: int, greedy: bool, first_seed: int
    ) -> Iterator[tuple[int, Group]]:
        return collect_groups(
            self._engine,
            self._builder,
            samples,
            num_completions=num_completions,
            greedy=greedy,
            first_seed=first_seed,
        )

    def _crossroads(self, prompt: Prompt, answer: Completion) -> Crossroads | None:
        builder, tokens = self._builder, answer.token_ids
        letters = prompt.target.options
        return crossroads_of(
            builder.pieces(tokens), builder.names(tokens), builder.vocabulary, prompt.sample.task, letters
        )

    def forget(self) -> None:
        """Make the next call independent of earlier ones, to the last bit."""
        self._engine.forget()

    def load(self, weights: Mapping[str, Tensor], version: int) -> None:
        """Take the learners' weights; later completions carry `version`."""
        self._engine.load_weights(weights, version)

    def sleep(self) -> None:
        """Give the GPU's memory away until samples or weights come."""
        self._engine.sleep()

    def drain_generate_s(self) -> float:
        """Return the seconds spent sampling since the last call."""
        return self._engine.drain_generate_s()
