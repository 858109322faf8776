"""SFT, DPO and KTO: take the lessons of the next samples, compare with the reference, update; evaluate when due."""

import asyncio

from rl.algorithm import AlgoConfig, Objective
from rl.brake import Stopped
from rl.checkpoints import Progress
from rl.data.stream import SampleStream
from rl.loop import Exam, Team, evaluate
from rl.taught.preference import with_mismatched


async def teach(config: AlgoConfig, team: Team, stream: SampleStream, exam: Exam, start: int, num_steps: int) -> None:
    """Runs supervised or preference training; weights go out before each evaluation alone, and once at the start."""
    assert team.tutor, "nobody has the lessons"
    done = Progress(step=start, position=stream.position)
    await team.sampler.load(await team.policy.publish(), version=start)
    try:
        groups = await team.brake.unless_pulled(team.tutor.lessons(stream.take(config.num_prompts)))
        for step in range(start, num_steps):
            team.brake.check()
            if exam.is_due(step):
                await _examine(team, exam, step, is_published=step == start)
            compared = with_mismatched(groups) if config.objective is Objective.kto else groups
            if team.reference:
                compared = await team.brake.unless_pulled(team.reference.logprobs(compared))
            position = stream.position
            coming = stream.take(config.num_prompts) if step + 1 < num_steps else []
            # The next samples' images are read while the learners are busy.
            report, ahead = await asyncio.gather(team.policy.update(compared), team.tutor.lessons(coming))
            team.tracker.log(step + 1, groups, report)
            groups, done = ahead, Progress(step=step + 1, position=position)
            await team.archive.keep(done)
        await _examine(team, exam, num_steps, is_published=start == num_steps)
    except Stopped:
        await team.archive.keep(done, now=True)
        raise


async def _examine(team: Team, exam: Exam, step: int, *, is_published: bool) -> None:
    if not is_published:
        await team.sampler.load(await team.policy.publish(), version=step)
    await team.brake.unless_pulled(evaluate(team, exam.samples, step))
