"""The training loop with plain classes in the roles: who is asked what, in which order."""

import asyncio
from dataclasses import replace

import pytest

from rl.algorithm import AlgoConfig
from rl.data.stream import SampleStream
from rl.loop import Exam, Team, train
from rl.types import Completion, Group, Prompt, Sample, Score, Target


class Crew:
    """Plays every role and writes down what happened."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.version = -1
        self.batches: list[list[Group]] = []
        self.examined: list[int] = []

    async def collect(self, samples, *, greedy=False):
        self.events.append("examine" if greedy else "sample")
        # Finished in the opposite order, as slow prompts may make it.
        for index in reversed(range(len(samples))):
            await asyncio.sleep(0)
            yield index, self._group(samples[index], 1 if greedy else 2)

    def _group(self, sample: Sample, count: int) -> Group:
        prompt = Prompt(
            sample=sample, token_ids=(1,), pixels=None, image_spans=(), image_size=(0, 0), target=sample.target
        )
        answers = tuple(
            Completion(token_ids=(2,), text=str(i), logprobs=(0.0,), finish_reason="stop", policy_version=self.version)
            for i in range(count)
        )
        return Group(prompt=prompt, completions=answers)

    async def load(self, weights, version):
        assert weights == "weights"
        self.version = version
        self.events.append(f"load {version}")

    async def score(self, group):
        await asyncio.sleep(0)
        totals = (float(c.text) for c in group.completions)
        return replace(group, scores=tuple(Score(total=total, components={}) for total in totals))

    async def logprobs(self, groups):
        self.events.append("reference")
        return [replace(group, reference_logprobs=((0.0,), (0.0,))) for group in groups]

    async def update(self, groups):
        self.events.append("update")
        self.batches.append(list(groups))
        return {"actor/loss": 0.0}

    async def publish(self):
        return "weights"

    async def save(self, folder):
        self.events.append("save")

    def log(self, step, groups, report):
        self.events.append(f"log {step}")

    def log_evaluation(self, step, groups):
        self.examined.append(step)


def samples(count: int) -> list[Sample]:
    return [
        Sample(id=f"s{i}", images=(), question="", target=Target(label="normal"), category="c") for i in range(count)
    ]


def run(crew: Crew, *, with_reference: bool = False, every: int = 0, num_steps: int = 2) -> None:
    team = Team(sampler=crew, judge=crew, policy=crew, reference=crew if with_reference else None, tracker=crew)
    config = AlgoConfig(num_prompts=3, num_completions=2)
    exam = Exam(samples=samples(2), every=every)
    asyncio.run(train(config, team, SampleStream(samples(4), seed=0), exam, num_steps))


def test_a_step_samples_updates_and_publishes_and_weights_go_out_before_the_first():
    crew = Crew()

    run(crew)

    one = ["sample", "update"]
    assert crew.events == ["load 0", "examine", *one, "load 1", "log 0", *one, "load 2", "log 1", "examine"]


def test_groups_reach_the_learner_scored_in_the_order_of_their_samples():
    crew = Crew()

    run(crew)

    stream = SampleStream(samples(4), seed=0)
    for batch in crew.batches:
        assert [group.prompt.sample for group in batch] == stream.take(3)
        assert all(group.advantages[0] < 0 < group.advantages[1] for group in batch)


def test_the_reference_is_asked_only_when_there_is_one():
    crew = Crew()

    run(crew, with_reference=True)

    assert crew.events.count("reference") == 2
    assert all(group.reference_logprobs for batch in crew.batches for group in batch)


def test_held_out_samples_are_asked_before_when_due_and_after():
    crew = Crew()

    run(crew, every=2, num_steps=5)

    assert crew.examined == [0, 2, 4, 5]


def test_a_reward_that_raises_ends_the_run():
    class Broken(Crew):
        async def score(self, group):
            raise ValueError("reward box failed on sample s1")

    with pytest.raises(ValueError, match="sample s1"):
        run(Broken())
