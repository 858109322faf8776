"""A plain class that plays every role of the loops and records the order of the calls."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

from rl.checkpoints import Progress
from rl.types import Completion, Group, Prompt, Sample, Score, Target


class PlainRoles:
    """Player of every role that records events; a hook runs when its event is recorded."""

    weights = {"right": 1.0}

    def __init__(self, hooks: dict[str, Callable[[], None]] | None = None) -> None:
        self.hooks = hooks or {}
        self.events: list[str] = []
        self.version = -1
        self.batches: list[list[Group]] = []
        self.examined: list[int] = []
        self.begun_after: list[str] | None = None
        """Events before the clock of the first step was started."""
        self.kept: list[Progress] = []
        self.kept_now: list[Progress] = []

    def note(self, event: str) -> None:
        self.events.append(event)
        self.hooks.get(event, lambda: None)()

    async def lessons(self, samples):
        """Make groups of a better and a worse answer, as a LessonMaker does."""
        await asyncio.sleep(0)
        return [replace(self._group(sample, 2), advantages=(1.0, -1.0)) for sample in samples]

    async def collect(self, samples, *, greedy=False):
        self.note("examine" if greedy else "sample")
        # Groups finish in reverse order, as slow prompts may cause.
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
        self.note(f"load {version}")

    async def score(self, group):
        await asyncio.sleep(0)
        totals = (float(c.text) for c in group.completions)
        return replace(group, scores=tuple(Score(total=total, components={}) for total in totals))

    async def logprobs(self, groups):
        self.note("reference")
        await asyncio.sleep(0)
        return [replace(group, reference_logprobs=((0.0,),) * len(group.completions)) for group in groups]

    async def observe(self, groups, *, with_maps):
        self.note("look with maps" if with_maps else "look")
        await asyncio.sleep(0)
        return [
            replace(group, old_logprobs=tuple((float(self.version),) for _ in group.completions)) for group in groups
        ]

    async def update(self, groups):
        self.note("update")
        await asyncio.sleep(0)
        self.batches.append(list(groups))
        return {"actor/loss": 0.0}

    async def publish(self):
        return "weights"

    async def keep(self, progress, *, now=False):
        (self.kept_now if now else self.kept).append(progress)

    def begin(self):
        self.begun_after = list(self.events)

    def log(self, step, groups, report):
        assert all(len(group.completions) == 2 for group in groups)
        self.note(f"log {step}")

    def log_evaluation(self, step, groups):
        self.examined.append(step)


def samples(count: int) -> list[Sample]:
    return [
        Sample(id=f"s{i}", images=(), question="", target=Target(label="normal"), category="c") for i in range(count)
    ]
