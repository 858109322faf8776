"""The loop of lessons with plain classes in the roles: who is asked what, in which order."""

import asyncio
from collections.abc import Coroutine

import pytest

from builders.plain_roles import PlainRoles, samples
from rl.algorithm import AlgoConfig, Objective
from rl.brake import Brake, Stopped
from rl.checkpoints import Progress
from rl.data.stream import SampleStream
from rl.faults import RunFailure
from rl.loop import Exam, Roles
from rl.taught.teaching import teach

NUM_PROMPTS = 3


def run(
    team: PlainRoles,
    objective: Objective = Objective.dpo,
    *,
    brake: Brake | None = None,
    every: int = 0,
    start: int = 0,
) -> None:
    roles = Roles(
        sampler=team,
        judge=team,
        policy=team,
        reference=None if objective is Objective.sft else team,
        lesson_maker=team,
        tracker=team,
        archive=team,
        brake=brake or Brake(),
    )
    config = AlgoConfig(objective=objective, num_prompts=NUM_PROMPTS)
    stream = SampleStream(samples(4), seed=0, position=start * NUM_PROMPTS)
    asyncio.run(leaving_nothing(teach(config, roles, stream, Exam(samples=samples(2), every=every), start, 2)))


async def leaving_nothing(work: Coroutine[None, None, None]) -> None:
    """Do the work and assert that it leaves no task behind, however it ends."""
    try:
        await work
    finally:
        assert asyncio.all_tasks() == {asyncio.current_task()}


def test_weights_go_out_at_the_start_and_before_each_examination_alone():
    team = PlainRoles()
    run(team, Objective.sft)
    assert team.events == ["load 0", "examine", "update", "log 1", "update", "log 2", "load 2", "examine"]


def test_the_clock_of_the_first_step_starts_after_the_first_weights_are_loaded():
    team = PlainRoles()
    run(team, Objective.sft)
    assert team.begun_after == ["load 0"]


def test_they_do_in_between_when_an_examination_is_due():
    team = PlainRoles()
    run(team, Objective.sft, every=1)
    assert team.events[4:6] == ["load 1", "examine"]


def test_pairs_are_compared_with_the_reference():
    team = PlainRoles()
    run(team)
    assert team.events.count("reference") == 2
    assert all(group.reference_logprobs for batch in team.batches for group in batch)


def test_kto_is_given_the_answers_to_other_prompts_which_the_record_leaves_out():
    team = PlainRoles()
    run(team, Objective.kto)
    assert {len(group.completions) for batch in team.batches for group in batch} == {4}
    assert {len(group.reference_logprobs) for batch in team.batches for group in batch} == {4}


@pytest.mark.parametrize("start", [0, 1])
def test_samples_come_in_the_order_of_the_stream_wherever_a_run_goes_on(start):
    team = PlainRoles()
    run(team, start=start)
    stream = SampleStream(samples(4), seed=0, position=start * NUM_PROMPTS)
    for batch in team.batches:
        assert [group.prompt.sample for group in batch] == stream.take(NUM_PROMPTS)


def test_a_checkpoint_counts_the_samples_learnt_not_those_read_ahead():
    team = PlainRoles()
    run(team)
    assert team.kept == [Progress(step=step, position=step * NUM_PROMPTS) for step in (1, 2)]


@pytest.mark.parametrize("objective", [Objective.sft, Objective.dpo])
def test_a_stop_keeps_the_last_whole_step(objective):
    brake = Brake()
    team = PlainRoles({"log 1": lambda: brake.pull("SIGTERM")})
    with pytest.raises(Stopped):
        run(team, objective, brake=brake)
    assert team.events.count("update") == 1
    assert team.kept_now == [Progress(step=1, position=NUM_PROMPTS)]


class FailingInStep(PlainRoles):
    """Plain roles of whom one fails while the other is busy: the learners, or the reader of the next lessons."""

    def __init__(self, failing: str) -> None:
        super().__init__()
        self._failing = failing

    async def update(self, groups):
        self.note("update")
        await self._fail_or_wait("update")

    async def lessons(self, samples):
        if "update" in self.events or self.begun_after:
            await self._fail_or_wait("lessons")
        return await super().lessons(samples)

    async def _fail_or_wait(self, name: str) -> None:
        if name == self._failing:
            raise RunFailure(f"{name} failed")
        await asyncio.Event().wait()


@pytest.mark.parametrize("failing", ["update", "lessons"])
def test_when_an_update_or_the_reading_beside_it_fails_the_other_is_dropped(failing):
    with pytest.raises(RunFailure, match=f"{failing} failed"):
        run(FailingInStep(failing))
