"""GRPO as in the papers: sample groups, score them, compare completions within each, update, publish."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from rl.advantage import group_advantages
from rl.algorithm import AlgoConfig
from rl.brake import Brake, Stopped, dropped
from rl.checkpoints import Progress
from rl.contrast import Draw, joined, lacks_contrast, plan_repair
from rl.data.stream import SampleStream
from rl.roles import Archive, Judge, LessonMaker, Observer, Policy, Reference, Repairer, Sampler, Tracker
from rl.types import Group, Sample
from rl.unjudged import check_unjudged


@dataclass(frozen=True, kw_only=True)
class Roles:
    """Everyone who does the work of a run."""

    sampler: Sampler
    judge: Judge
    policy: Policy
    reference: Reference | None
    """None if the KL weight is 0 or the learners are their own reference."""
    repairer: Repairer | None = None
    """None without contrastive sampling."""
    observer: Observer | None = None
    """None if no reward depends on where the policy looks."""
    lesson_maker: LessonMaker | None = None
    """None if the policy learns from rewards instead of given answers."""
    tracker: Tracker
    archive: Archive
    brake: Brake


@dataclass(frozen=True, kw_only=True)
class Exam:
    """The held-out samples and the schedule of evaluations."""

    samples: Sequence[Sample]
    every: int
    """Steps between evaluations; 0 evaluates only before and after training."""

    def is_due(self, step: int) -> bool:
        """Return True if an evaluation is due after `step` training steps."""
        return step == 0 or (self.every > 0 and step % self.every == 0)


async def train(config: AlgoConfig, roles: Roles, stream: SampleStream, exam: Exam, start: int, num_steps: int) -> None:
    """Train with GRPO, from `start` steps done until `num_steps` are.

    Weights are published once before the first step, so that a broken transfer fails at the start.
    """
    done = Progress(step=start, position=stream.position)
    await roles.sampler.load(await roles.policy.publish(), version=start)
    roles.tracker.begin()
    try:
        for step in range(start, num_steps):
            if exam.is_due(step):
                await roles.brake.unless_pulled(evaluate(roles, exam.samples, step))
            drawn = await roles.brake.unless_pulled(draw(config, roles, stream, step))
            groups = group_advantages(drawn.batch(config.num_prompts), config, roles.judge.weights)
            if roles.reference:
                groups = await roles.brake.unless_pulled(roles.reference.logprobs(groups))
            report = await roles.policy.update(groups)
            await roles.sampler.load(await roles.policy.publish(), version=step + 1)
            roles.tracker.log(step + 1, drawn.sampled, report | drawn.metrics(config))
            done = Progress(step=step + 1, position=stream.position)
            await roles.archive.keep(done)
        await roles.brake.unless_pulled(evaluate(roles, exam.samples, num_steps))
    except Stopped:
        await roles.archive.keep(done, now=True)
        raise


async def evaluate(roles: Roles, samples: Sequence[Sample], step: int) -> None:
    """Answer the held-out samples greedily, after `step` training steps, then score the answers and log them."""
    roles.tracker.log_evaluation(step, await collect(roles, samples, greedy=True))


async def draw(config: AlgoConfig, roles: Roles, stream: SampleStream, step: int) -> Draw:
    """Sample the groups of a step and repair those without contrast; if some still lack it, draw more, by config."""
    drawn = Draw(sampled=[], repaired=[])
    missing = config.num_prompts
    for _ in range(1 + config.max_refills):
        groups = await collect(roles, stream.take(missing))
        drawn.sampled.extend(groups)
        drawn.repaired.extend(await repaired(roles, groups, step))
        missing = config.num_prompts - sum(not lacks_contrast(group) for group in drawn.repaired)
        if missing == 0:
            break
    check_unjudged(drawn.sampled, config.max_unjudged)
    return drawn


async def repaired(roles: Roles, groups: list[Group], step: int) -> list[Group]:
    """Return the groups in order; replace each one without contrast by its repaired form, if that has contrast."""
    if roles.repairer is None:
        return groups
    plans = [plan_repair(group, step=step, has_teacher=roles.repairer.has_teacher) for group in groups]
    repairs = {index: plan for index, plan in enumerate(plans) if plan}
    written = zip(repairs, await roles.repairer.write(list(repairs.values()), step), strict=True)
    candidates = {index: joined(repairs[index], newcomers) for index, newcomers in written if newcomers}
    judged = await _observed_and_scored(roles, list(candidates.values()))
    result = list(groups)
    for index, group in zip(candidates, judged, strict=True):
        if not lacks_contrast(group):
            result[index] = group
    return result


async def _observed_and_scored(roles: Roles, groups: list[Group]) -> list[Group]:
    """Return repaired groups with the policy's looks, if a reward needs them, and with scores."""
    if roles.observer and groups:
        groups = await roles.observer.observe(groups, with_maps=False)
    scores = [asyncio.create_task(roles.judge.score(group)) for group in groups]
    try:
        return [await score for score in scores]
    finally:
        await dropped(scores)


async def collect(roles: Roles, samples: Sequence[Sample], *, greedy: bool = False) -> list[Group]:
    """Return the scored groups in the order of their samples; score each as soon as it is sampled."""
    scores: dict[int, asyncio.Task[Group]] = {}
    try:
        async with aclosing(answered(roles, samples, greedy)) as groups:
            async for index, group in groups:
                scores[index] = asyncio.create_task(roles.judge.score(group))
        return [await scores[index] for index in range(len(samples))]
    finally:
        await dropped(scores.values())


async def answered(roles: Roles, samples: Sequence[Sample], greedy: bool) -> AsyncGenerator[tuple[int, Group]]:
    """Yield (index of the sample, its group) as groups finish or, with an observer, once it has observed them all."""
    async with aclosing(roles.sampler.collect(samples, greedy=greedy)) as groups:
        if roles.observer is None:
            async for item in groups:
                yield item
            return
        finished = {index: group async for index, group in groups}
    observed = await roles.observer.observe([finished[index] for index in range(len(samples))], with_maps=greedy)
    for item in enumerate(observed):
        yield item
