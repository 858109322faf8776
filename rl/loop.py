"""GRPO as the papers write it: sample groups, score them, compare within each, update, publish."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from rl.advantage import group_advantages
from rl.algorithm import AlgoConfig
from rl.data.stream import SampleStream
from rl.roles import Judge, Policy, Reference, Sampler, Tracker
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


@dataclass(frozen=True, kw_only=True)
class Exam:
    """The held-out samples, and when they are asked."""

    samples: Sequence[Sample]
    every: int
    """Steps between evaluations; 0 only before and after training."""

    def is_due(self, step: int, num_steps: int) -> bool:
        """After step `step` of `num_steps`."""
        return step == num_steps or (self.every > 0 and step % self.every == 0)


async def train(config: AlgoConfig, team: Team, stream: SampleStream, exam: Exam, num_steps: int) -> None:
    """Runs GRPO; weights go out once before the first step, so that a broken transfer fails at the start."""
    await team.sampler.load(await team.policy.publish(), version=0)
    await evaluate(team, exam.samples, step=0)
    for step in range(num_steps):
        groups = await collect(team, stream.take(config.num_prompts))
        groups = group_advantages(groups, config)
        if team.reference:
            groups = await team.reference.logprobs(groups)
        report = await team.policy.update(groups)
        await team.sampler.load(await team.policy.publish(), version=step + 1)
        team.tracker.log(step, groups, report)
        if exam.is_due(step + 1, num_steps):
            await evaluate(team, exam.samples, step + 1)


async def evaluate(team: Team, samples: Sequence[Sample], step: int) -> None:
    """Answers the held-out samples greedily and scores them."""
    team.tracker.log_evaluation(step, await collect(team, samples, greedy=True))


async def collect(team: Team, samples: Sequence[Sample], *, greedy: bool = False) -> list[Group]:
    """The scored groups in the order of their samples; each is scored as soon as it is sampled."""
    scores = {
        index: asyncio.ensure_future(team.judge.score(group))
        async for index, group in team.sampler.collect(samples, greedy=greedy)
    }
    return list(await asyncio.gather(*(scores[index] for index in range(len(samples)))))
