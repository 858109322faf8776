"""The loop of SFT, DPO and KTO: read lessons, compare them with the reference, update; evaluate when due."""

import asyncio

from rl.algorithm import AlgoConfig
from rl.brake import Stopped, dropped
from rl.checkpoints import Progress
from rl.data.stream import SampleStream
from rl.loop import Exam, Roles, evaluate
from rl.recipe import RECIPES
from rl.taught.preference import with_mismatched


async def teach(config: AlgoConfig, roles: Roles, stream: SampleStream, exam: Exam, start: int, num_steps: int) -> None:
    """Run supervised or preference training; publish weights at the start and before each evaluation only."""
    assert roles.lesson_maker, "nobody has the lessons"
    done = Progress(step=start, position=stream.position)
    await roles.sampler.load(await roles.policy.publish(), version=start)
    try:
        groups = await roles.brake.unless_pulled(roles.lesson_maker.lessons(stream.take(config.num_prompts)))
        roles.tracker.begin()
        for step in range(start, num_steps):
            roles.brake.check()
            if exam.is_due(step):
                await _examine(roles, exam, step, is_published=step == start)
            compared = with_mismatched(groups) if RECIPES[config.objective].compares_prompts else groups
            if roles.reference:
                compared = await roles.brake.unless_pulled(roles.reference.logprobs(compared))
            position = stream.position
            coming = stream.take(config.num_prompts) if step + 1 < num_steps else []
            # The next samples' images are read while the learners are busy.
            learning = asyncio.ensure_future(roles.policy.update(compared))
            reading = asyncio.ensure_future(roles.lesson_maker.lessons(coming))
            try:
                report, ahead = await asyncio.gather(learning, reading)
            finally:
                await dropped([learning, reading])
            roles.tracker.log(step + 1, groups, report)
            groups, done = ahead, Progress(step=step + 1, position=position)
            await roles.archive.keep(done)
        await _examine(roles, exam, num_steps, is_published=start == num_steps)
    except Stopped:
        await roles.archive.keep(done, now=True)
        raise


async def _examine(roles: Roles, exam: Exam, step: int, *, is_published: bool) -> None:
    if not is_published:
        await roles.sampler.load(await roles.policy.publish(), version=step)
    await roles.brake.unless_pulled(evaluate(roles, exam.samples, step))
