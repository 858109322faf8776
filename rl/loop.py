"""GRPO as the papers write it: sample groups, score them, compare within each, update, publish."""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass

from rl.advantage import group_advantages
from rl.algorithm import AlgoConfig
from rl.brake import Brake, Stopped, dropped
from rl.checkpoints import Progress
from rl.data.stream import SampleStream
from rl.roles import Archive, Judge, Policy, Reference, Sampler, Tracker
from rl.types import Group, Sample


@dataclass(frozen=True, kw_only=True)
class Team:
    """Who does the work of a run."""

    sampler: Sampler
    judge: Judge
    policy: Policy
    reference: Reference | None
    """None when the KL weight is 0 or when the learners are their own reference."""
    tracker: Tracker
    archive: Archive
    brake: Brake


@dataclass(frozen=True, kw_only=True)
class Exam:
    """The held-out samples, and when they are asked."""

    samples: Sequence[Sample]
    every: int
    """Steps between evaluations; 0 only before and after training."""

    def is_due(self, step: int) -> bool:
        """Before the training step after `step` of them."""
        return step == 0 or (self.every > 0 and step % self.every == 0)


async def train(config: AlgoConfig, team: Team, stream: SampleStream, exam: Exam, start: int, num_steps: int) -> None:
    """Runs GRPO; weights go out once before the first step, so that a broken transfer fails at the start."""
    done = Progress(step=start, position=stream.position)
    await team.sampler.load(await team.policy.publish(), version=start)
    try:
        for step in range(start, num_steps):
            if exam.is_due(step):
                await team.brake.unless_pulled(evaluate(team, exam.samples, step))
            groups = await team.brake.unless_pulled(collect(team, stream.take(config.num_prompts)))
            groups = group_advantages(groups, config)
            if team.reference:
                groups = await team.brake.unless_pulled(team.reference.logprobs(groups))
            report = await team.policy.update(groups)
            await team.sampler.load(await team.policy.publish(), version=step + 1)
            team.tracker.log(step + 1, groups, report)
            done = Progress(step=step + 1, position=stream.position)
            await team.archive.keep(done)
        await team.brake.unless_pulled(evaluate(team, exam.samples, num_steps))
    except Stopped:
        await team.archive.keep(done, now=True)
        raise


async def evaluate(team: Team, samples: Sequence[Sample], step: int) -> None:
    """Answers the held-out samples greedily and scores them, after `step` training steps."""
    team.tracker.log_evaluation(step, await collect(team, samples, greedy=True))


async def collect(team: Team, samples: Sequence[Sample], *, greedy: bool = False) -> list[Group]:
    """The scored groups in the order of their samples; each is scored as soon as it is sampled."""
    scores: dict[int, asyncio.Task[Group]] = {}
    try:
        async with aclosing(team.sampler.collect(samples, greedy=greedy)) as groups:
            async for index, group in groups:
                scores[index] = asyncio.create_task(team.judge.score(group))
        return [await scores[index] for index in range(len(samples))]
    finally:
        await dropped(scores.values())
