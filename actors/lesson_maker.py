"""Makes groups of lessons: threads of the driver build the prompts and put their images into the object store."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace

import ray

from rl.data.images import in_threads
from rl.data.lessons import Lesson, lesson_group
from rl.data.prompts import PromptBuilder
from rl.types import Group, Sample


class RayLessonMaker:
    """The role rl.roles.LessonMaker, played by the driver."""

    def __init__(self, builder: PromptBuilder, lessons: Mapping[str, Lesson]) -> None:
        self._builder = builder
        self._lessons = lessons
        """Lesson by sample id; {} teaches each sample's own right answer."""

    async def lessons(self, samples: Sequence[Sample]) -> list[Group]:
        return await asyncio.to_thread(in_threads, self._group, samples)

    def _group(self, sample: Sample) -> Group:
        prompt = self._builder.build(sample)
        group = lesson_group(prompt, self._lessons[sample.id] if self._lessons else None, self._builder)
        return replace(group, prompt=replace(prompt, pixels=ray.put(prompt.pixels)))
