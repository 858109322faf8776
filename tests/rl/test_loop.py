"""The training loop with plain classes in the roles: which role is called when, and with what."""

import asyncio
from collections.abc import Sequence

import pytest

from builders.plain_roles import PlainRoles, samples
from rl.algorithm import AlgoConfig
from rl.brake import Brake, Stopped
from rl.checkpoints import Progress
from rl.data.stream import SampleStream
from rl.loop import Exam, Roles, train

NUM_PROMPTS = 3


def run(
    team: PlainRoles,
    *,
    brake: Brake | None = None,
    roles: Sequence[str] = (),
    every: int = 0,
    start: int = 0,
    num_steps: int = 2,
) -> None:
    roles = Roles(
        sampler=team,
        judge=team,
        policy=team,
        reference=team if "reference" in roles else None,
        observer=team if "observer" in roles else None,
        tracker=team,
        archive=team,
        brake=brake or Brake(),
    )
    config = AlgoConfig(num_prompts=NUM_PROMPTS, num_completions=2)
    stream = SampleStream(samples(4), seed=0, position=start * NUM_PROMPTS)
    asyncio.run(train(config, roles, stream, Exam(samples=samples(2), every=every), start, num_steps))


def after(step: int) -> Progress:
    return Progress(step=step, position=NUM_PROMPTS * step)


def test_weights_are_published_before_the_first_step_and_after_each():
    team = PlainRoles()

    run(team)

    step = ["sample", "update"]
    assert team.events == ["load 0", "examine", *step, "load 1", "log 1", *step, "load 2", "log 2", "examine"]


def test_the_clock_of_the_first_step_starts_after_the_first_weights_are_loaded():
    team = PlainRoles()

    run(team, start=1)

    assert team.begun_after == ["load 1"]


def test_groups_reach_the_learner_scored_in_the_order_of_their_samples():
    team = PlainRoles()

    run(team)

    stream = SampleStream(samples(4), seed=0)
    for batch in team.batches:
        assert [group.prompt.sample for group in batch] == stream.take(NUM_PROMPTS)
        assert all(group.advantages[0] < 0 < group.advantages[1] for group in batch)


def test_the_reference_adds_its_log_probs_if_there_is_one():
    team = PlainRoles()

    run(team, roles=["reference"])

    assert team.events.count("reference") == 2
    assert all(group.reference_logprobs for batch in team.batches for group in batch)


def test_the_observer_sees_the_groups_before_they_are_scored():
    team = PlainRoles()

    run(team, roles=["observer"], num_steps=1)

    assert team.events[1:5] == ["examine", "look with maps", "sample", "look"]
    assert team.events[-2:] == ["examine", "look with maps"]
    stream = SampleStream(samples(4), seed=0)
    (batch,) = team.batches
    assert [group.prompt.sample for group in batch] == stream.take(NUM_PROMPTS)
    assert all(group.scores and group.old_logprobs == ((0.0,), (0.0,)) for group in batch)


def test_evaluations_run_before_training_when_due_and_after():
    team = PlainRoles()

    run(team, every=2, num_steps=5)

    assert team.examined == [0, 2, 4, 5]


def test_an_evaluation_due_at_the_end_runs_once():
    team = PlainRoles()

    run(team, every=2, num_steps=4)

    assert team.examined == [0, 2, 4]


def test_the_archive_gets_step_and_stream_position_after_each_step():
    team = PlainRoles()

    run(team, num_steps=3)

    assert team.kept == [after(1), after(2), after(3)]
    assert team.kept_now == []


def test_a_resumed_run_repeats_the_rest_of_an_uninterrupted_one():
    straight, resumed = PlainRoles(), PlainRoles()

    run(straight, every=2, num_steps=5)
    run(resumed, every=2, start=2, num_steps=5)

    assert resumed.events[:3] == ["load 2", "examine", "sample"]
    assert (resumed.batches, resumed.kept) == (straight.batches[2:], straight.kept[2:])
    assert resumed.examined == [2, 4, 5]


def test_a_run_resumed_between_evaluations_waits_for_the_next():
    team = PlainRoles()

    run(team, every=2, start=3, num_steps=5)

    assert team.examined == [4, 5]


@pytest.mark.parametrize("where", ["sample", "reference", "log 1"])
def test_a_stop_checkpoints_the_last_whole_step(where):
    brake = Brake()
    steps = 1 if where == "log 1" else 0

    with pytest.raises(Stopped, match="Ctrl-C"):
        team = PlainRoles({where: lambda: brake.pull("Ctrl-C")})
        run(team, brake=brake, roles=["reference"])

    assert (team.kept_now, len(team.batches)) == ([after(steps)], steps)


def test_a_stop_during_an_update_waits_for_the_whole_step():
    brake = Brake()
    team = PlainRoles({"update": lambda: brake.pull("Ctrl-C")})

    with pytest.raises(Stopped):
        run(team, brake=brake)

    assert team.events[2:6] == ["sample", "update", "load 1", "log 1"]
    assert team.events.count("update") == 1
    assert team.kept_now == [after(1)]


def test_a_stop_in_the_last_evaluation_checkpoints_the_last_step():
    brake = Brake()
    team = PlainRoles({"log 2": lambda: brake.pull("SIGTERM")})

    with pytest.raises(Stopped, match="SIGTERM"):
        run(team, brake=brake)

    assert (team.kept_now, team.examined) == ([after(2)], [0])


class Broken(PlainRoles):
    """A team whose rewards raise while more samples are on their way."""

    async def score(self, group):
        raise ValueError("reward box failed on sample s1")


def test_a_reward_that_raises_ends_the_run():
    team = Broken()

    with pytest.raises(ValueError, match="sample s1"):
        run(team)

    assert team.kept_now == []
