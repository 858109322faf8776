"""The loop of lessons with plain classes in the roles: who is asked what, in which order."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from rl.algorithm import AlgoConfig, Objective
from rl.brake import Brake, Stopped
from rl.checkpoints import Progress
from rl.data.stream import SampleStream
from rl.loop import Exam, Team
from rl.teaching import teach
from rl.types import Completion, Group, Prompt, Sample, Score, Target

NUM_PROMPTS = 3


class Crew:
    """Plays every role and writes down what happened; a hook may act when one of these lines is written."""

    weights = {"right": 1.0}

    def __init__(self, hooks: dict[str, Callable[[], None]] | None = None) -> None:
        self.hooks = hooks or {}
        self.events: list[str] = []
        self.learnt: list[list[Group]] = []
        self.kept: list[Progress] = []
        self.kept_now: list[Progress] = []

    def note(self, event: str) -> None:
        self.events.append(event)
        self.hooks.get(event, lambda: None)()

    async def lessons(self, samples):
        await asyncio.sleep(0)
        return [replace(_group(sample, 2), advantages=(1.0, -1.0)) for sample in samples]

    async def logprobs(self, groups):
        self.note("reference")
        return [replace(group, reference_logprobs=((0.0,),) * len(group.completions)) for group in groups]

    async def update(self, groups):
        self.note("update")
        await asyncio.sleep(0)
        self.learnt.append(list(groups))
        return {"actor/loss": 0.0}

    async def publish(self):
        return "weights"

    async def load(self, weights, version):
        self.note(f"load {version}")

    async def collect(self, samples, *, greedy=False):
        assert greedy
        self.note("examine")
        for index, sample in enumerate(samples):
            yield index, _group(sample, 1)

    async def score(self, group):
        return replace(group, scores=(Score(total=1.0, components={}),))

    async def keep(self, progress, *, now=False):
        (self.kept_now if now else self.kept).append(progress)

    def log(self, step, groups, report):
        assert all(len(group.completions) == 2 for group in groups)
        self.note(f"log {step}")

    def log_evaluation(self, step, groups):
        pass


def _group(sample: Sample, count: int) -> Group:
    prompt = Prompt(sample=sample, token_ids=(1,), pixels=None, image_spans=(), image_size=(0, 0), target=sample.target)
    answer = Completion(token_ids=(2,), text="", logprobs=(), finish_reason="stop", policy_version=0)
    return Group(prompt=prompt, completions=(answer,) * count)


def samples(count: int) -> list[Sample]:
    return [
        Sample(id=f"s{i}", images=(), question="", target=Target(label="normal"), category="c") for i in range(count)
    ]


def run(
    crew: Crew, objective: Objective = Objective.dpo, *, brake: Brake | None = None, every: int = 0, start: int = 0
) -> None:
    team = Team(
        sampler=crew,
        judge=crew,
        policy=crew,
        reference=None if objective is Objective.sft else crew,
        tutor=crew,
        tracker=crew,
        archive=crew,
        brake=brake or Brake(),
    )
    config = AlgoConfig(objective=objective, num_prompts=NUM_PROMPTS)
    stream = SampleStream(samples(4), seed=0, position=start * NUM_PROMPTS)
    asyncio.run(teach(config, team, stream, Exam(samples=samples(2), every=every), start, 2))


def test_weights_go_out_at_the_start_and_before_each_examination_alone():
    crew = Crew()
    run(crew, Objective.sft)
    assert crew.events == ["load 0", "examine", "update", "log 1", "update", "log 2", "load 2", "examine"]


def test_they_do_in_between_when_an_examination_is_due():
    crew = Crew()
    run(crew, Objective.sft, every=1)
    assert crew.events[4:6] == ["load 1", "examine"]


def test_pairs_are_compared_with_the_reference():
    crew = Crew()
    run(crew)
    assert crew.events.count("reference") == 2
    assert all(group.reference_logprobs for batch in crew.learnt for group in batch)


def test_kto_is_given_the_answers_to_other_prompts_which_the_record_leaves_out():
    crew = Crew()
    run(crew, Objective.kto)
    assert {len(group.completions) for batch in crew.learnt for group in batch} == {4}
    assert {len(group.reference_logprobs) for batch in crew.learnt for group in batch} == {4}


@pytest.mark.parametrize("start", [0, 1])
def test_samples_come_in_the_order_of_the_stream_wherever_a_run_goes_on(start):
    crew = Crew()
    run(crew, start=start)
    stream = SampleStream(samples(4), seed=0, position=start * NUM_PROMPTS)
    for batch in crew.learnt:
        assert [group.prompt.sample for group in batch] == stream.take(NUM_PROMPTS)


def test_a_checkpoint_counts_the_samples_learnt_not_those_read_ahead():
    crew = Crew()
    run(crew)
    assert crew.kept == [Progress(step=step, position=step * NUM_PROMPTS) for step in (1, 2)]


@pytest.mark.parametrize("objective", [Objective.sft, Objective.dpo])
def test_a_stop_keeps_the_last_whole_step(objective):
    brake = Brake()
    crew = Crew({"log 1": lambda: brake.pull("SIGTERM")})
    with pytest.raises(Stopped):
        run(crew, objective, brake=brake)
    assert crew.events.count("update") == 1
    assert crew.kept_now == [Progress(step=1, position=NUM_PROMPTS)]
