"""From samples to groups: one prompt each, its images processed once, then G completions."""

from collections.abc import Iterator, Sequence
from typing import Protocol

from rl.types import Completion, Group, Prompt, Sample


class Builder(Protocol):
    def build(self, sample: Sample) -> Prompt:
        """Return the sample as the model sees it."""


class Completer(Protocol):
    def generate(
        self, prompts: Sequence[Prompt], *, num_completions: int, greedy: bool, first_seed: int
    ) -> Iterator[tuple[int, tuple[Completion, ...]]]:
        """Yield (index of the prompt, its completions) as prompts finish."""


def collect_groups(
    completer: Completer,
    builder: Builder,
    samples: Sequence[Sample],
    *,
    num_completions: int,
    greedy: bool,
    first_seed: int,
) -> Iterator[tuple[int, Group]]:
    """Yield (index of the sample, its group) as groups finish, so that a long answer holds up no other group."""
    prompts = [builder.build(sample) for sample in samples]
    finished = completer.generate(prompts, num_completions=num_completions, greedy=greedy, first_seed=first_seed)
    for index, completions in finished:
        yield index, Group(prompt=prompts[index], completions=completions)
