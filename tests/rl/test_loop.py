"""The training loop with plain classes in the roles: who is asked what, in which order."""

import asyncio
from collections.abc import Sequence

import pytest

from builders.crew import Crew, samples
from rl.algorithm import AlgoConfig
from rl.brake import Brake, Stopped
from rl.checkpoints import Progress
from rl.data.stream import SampleStream
from rl.loop import Exam, Team, train

NUM_PROMPTS = 3


def run(
    crew: Crew,
    *,
    brake: Brake | None = None,
    roles: Sequence[str] = (),
    every: int = 0,
    start: int = 0,
    num_steps: int = 2,
) -> None:
    team = Team(
        sampler=crew,
        judge=crew,
        policy=crew,
        reference=crew if "reference" in roles else None,
        observer=crew if "observer" in roles else None,
        tracker=crew,
        archive=crew,
        brake=brake or Brake(),
    )
    config = AlgoConfig(num_prompts=NUM_PROMPTS, num_completions=2)
    stream = SampleStream(samples(4), seed=0, position=start * NUM_PROMPTS)
    asyncio.run(train(config, team, stream, Exam(samples=samples(2), every=every), start, num_steps))


def after(step: int) -> Progress:
    return Progress(step=step, position=NUM_PROMPTS * step)


def test_a_step_samples_updates_and_publishes_and_weights_go_out_before_the_first():
    crew = Crew()

    run(crew)

    one = ["sample", "update"]
    assert crew.events == ["load 0", "examine", *one, "load 1", "log 1", *one, "load 2", "log 2", "examine"]


def test_groups_reach_the_learner_scored_in_the_order_of_their_samples():
    crew = Crew()

    run(crew)

    stream = SampleStream(samples(4), seed=0)
    for batch in crew.batches:
        assert [group.prompt.sample for group in batch] == stream.take(NUM_PROMPTS)
        assert all(group.advantages[0] < 0 < group.advantages[1] for group in batch)


def test_the_reference_is_asked_only_when_there_is_one():
    crew = Crew()

    run(crew, roles=["reference"])

    assert crew.events.count("reference") == 2
    assert all(group.reference_logprobs for batch in crew.batches for group in batch)


def test_where_a_reward_asks_the_policy_looks_at_what_it_sampled_before_it_is_scored():
    crew = Crew()

    run(crew, roles=["observer"], num_steps=1)

    assert crew.events[1:5] == ["examine", "look with maps", "sample", "look"]
    assert crew.events[-2:] == ["examine", "look with maps"]
    stream = SampleStream(samples(4), seed=0)
    (batch,) = crew.batches
    assert [group.prompt.sample for group in batch] == stream.take(NUM_PROMPTS)
    assert all(group.scores and group.old_logprobs == ((0.0,), (0.0,)) for group in batch)


def test_held_out_samples_are_asked_before_when_due_and_after():
    crew = Crew()

    run(crew, every=2, num_steps=5)

    assert crew.examined == [0, 2, 4, 5]


def test_an_evaluation_is_done_once_where_it_is_due_at_the_end():
    crew = Crew()

    run(crew, every=2, num_steps=4)

    assert crew.examined == [0, 2, 4]


def test_every_step_is_offered_to_the_archive_with_the_place_in_the_data():
    crew = Crew()

    run(crew, num_steps=3)

    assert crew.kept == [after(1), after(2), after(3)]
    assert crew.kept_now == []


def test_a_run_that_goes_on_takes_the_steps_and_samples_that_come_next():
    straight, resumed = Crew(), Crew()

    run(straight, every=2, num_steps=5)
    run(resumed, every=2, start=2, num_steps=5)

    assert resumed.events[:3] == ["load 2", "examine", "sample"]
    assert (resumed.batches, resumed.kept) == (straight.batches[2:], straight.kept[2:])
    assert resumed.examined == [2, 4, 5]


def test_a_run_that_goes_on_between_evaluations_asks_none_before_the_next():
    crew = Crew()

    run(crew, every=2, start=3, num_steps=5)

    assert crew.examined == [4, 5]


@pytest.mark.parametrize("where", ["sample", "reference", "log 1"])
def test_a_stop_keeps_what_whole_steps_have_learnt(where):
    brake = Brake()
    steps = 1 if where == "log 1" else 0

    with pytest.raises(Stopped, match="Ctrl-C"):
        crew = Crew({where: lambda: brake.pull("Ctrl-C")})
        run(crew, brake=brake, roles=["reference"])

    assert (crew.kept_now, len(crew.batches)) == ([after(steps)], steps)


def test_a_stop_while_weights_change_waits_for_the_whole_step():
    brake = Brake()
    crew = Crew({"update": lambda: brake.pull("Ctrl-C")})

    with pytest.raises(Stopped):
        run(crew, brake=brake)

    assert crew.events[2:6] == ["sample", "update", "load 1", "log 1"]
    assert crew.events.count("update") == 1
    assert crew.kept_now == [after(1)]


def test_a_stop_in_the_last_evaluation_keeps_the_last_step():
    brake = Brake()
    crew = Crew({"log 2": lambda: brake.pull("SIGTERM")})

    with pytest.raises(Stopped, match="SIGTERM"):
        run(crew, brake=brake)

    assert (crew.kept_now, crew.examined) == ([after(2)], [0])


class Broken(Crew):
    """Its rewards raise while further samples are on their way."""

    async def score(self, group):
        raise ValueError("reward box failed on sample s1")


def test_a_reward_that_raises_ends_the_run():
    crew = Broken()

    with pytest.raises(ValueError, match="sample s1"):
        run(crew)

    assert crew.kept_now == []
