from collections.abc import Iterator, Sequence

from rl.types import Completion, Prompt, Sample, Target
from rollout.collect import collect_groups

NORMAL = Target(label="normal")


class CountingBuilder:
    def __init__(self) -> None:
        self.built: list[str] = []

    def build(self, sample: Sample) -> Prompt:
        self.built.append(sample.id)
        return Prompt(sample=sample, token_ids=(7,), pixels=None, image_spans=(), image_size=(0, 0), target=NORMAL)


class LastFirst:
    """Finishes its prompts in reverse."""

    def generate(
        self, prompts: Sequence[Prompt], *, num_completions: int, greedy: bool, first_seed: int
    ) -> Iterator[tuple[int, tuple[Completion, ...]]]:
        for index in reversed(range(len(prompts))):
            answer = Completion(
                token_ids=(index,), text="", logprobs=(0.0,), finish_reason="stop", policy_version=first_seed
            )
            yield index, (answer,) * num_completions


def sample(name: str) -> Sample:
    return Sample(id=name, images=(), question="", target=NORMAL, category="")


def test_each_group_joins_a_sample_with_its_own_completions_in_the_order_they_finish() -> None:
    samples = [sample("a"), sample("b"), sample("c")]
    found = list(collect_groups(LastFirst(), CountingBuilder(), samples, num_completions=2, greedy=False, first_seed=5))
    assert [(index, group.prompt.sample.id) for index, group in found] == [(2, "c"), (1, "b"), (0, "a")]
    assert [[answer.token_ids for answer in group.completions] for _, group in found] == [
        [(2,), (2,)],
        [(1,), (1,)],
        [(0,), (0,)],
    ]


def test_a_prompt_is_built_once_for_all_its_completions() -> None:
    builder = CountingBuilder()
    list(collect_groups(LastFirst(), builder, [sample("a")], num_completions=8, greedy=False, first_seed=0))
    assert builder.built == ["a"]
