"""Contrastive and dynamic sampling: the repair and replacement of groups whose completions all earned the same."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from rl.algorithm import AlgoConfig
from rl.types import DEFECTIVE, NORMAL, Completion, Group, Origin, Sample, Score, Target, Task

NUM_NEGATIVES = 2
WITH_VERDICT = (Task.yes_no, Task.boxes)
HINT = "(Hint: {}. Reason towards that, keep to the form that is asked for, and do not mention this hint.)"


@dataclass(frozen=True, kw_only=True)
class Repair:
    """A plan to give contrast to a group that lacks it, by completions of another origin."""

    group: Group
    origin: Origin
    """Writer of the new completions."""
    places: tuple[int, ...]
    """Indices of the completions to replace, drawn at random."""
    untruth: str = ""
    """Conclusion of a teacher's negative: the other verdict, or the letter of a wrong option; "" without a teacher."""


def lacks_contrast(group: Group) -> bool:
    """Return True if all judged completions earned the same, so that every advantage is 0."""
    return len({score.total for score in group.scores if score.total is not None}) <= 1


def plan_repair(group: Group, *, step: int, has_teacher: bool) -> Repair | None:
    """Return the repair of a group; None if it has contrast or nothing can give it any.

    If all answers are right, a teacher writes two negatives; otherwise the sample's reference text joins. Random draws
    depend on step and sample alone, so a resumed run repeats those of an uninterrupted one.
    """
    if not lacks_contrast(group):
        return None
    prompt, count = group.prompt, len(group.completions)
    rng = random.Random(f"{step}/{prompt.sample.id}")
    wrong = untruths(prompt.sample.task, prompt.target)
    if has_teacher and wrong and all_right(group.scores):
        # At least one right answer stays.
        places = tuple(rng.sample(range(count), min(NUM_NEGATIVES, count - 1)))
        return Repair(group=group, origin=Origin.teacher, places=places, untruth=rng.choice(wrong))
    if prompt.target.rationale:
        return Repair(group=group, origin=Origin.reference_text, places=(rng.randrange(count),))
    return None


def all_right(scores: Sequence[Score]) -> bool:
    """Return True if every judged answer has the right option or, if the task has no options, the right yes or no.

    If the reward measures neither, no group counts as right.
    """
    judged = [score.components for score in scores if score.total is not None]
    return bool(judged) and all(_verdict(components) == 1 for components in judged)


def _verdict(components: Mapping[str, float | None]) -> float | None:
    option = components.get("choice")
    return components.get("accuracy") if option is None else option


def truth(task: Task, target: Target) -> str:
    """Return the right verdict or, for a task with options, the letter of the right option."""
    return target.label if task in WITH_VERDICT else target.option


def untruths(task: Task, target: Target) -> list[str]:
    """Return the other verdict, or the letters of the wrong options; [] for a task with neither."""
    if task in WITH_VERDICT:
        return [DEFECTIVE if target.label == NORMAL else NORMAL]
    return sorted(target.options.keys() - {target.option})


def hinted(sample: Sample, untruth: str) -> Sample:
    """Return the sample with `untruth` added to its question as a hint, to have a teacher write a wrong answer."""
    options = sample.target.options
    if sample.task in WITH_VERDICT:
        hint = f"this sample is {'abnormal' if untruth == DEFECTIVE else 'normal'}"
    else:
        hint = f"the right option is {untruth}, {options[untruth]}"
    return replace(sample, question=f"{sample.question}\n{HINT.format(hint)}")


def joined(repair: Repair, newcomers: Sequence[Completion]) -> Group:
    """Return the group with the newcomers in `repair.places`, not yet judged."""
    completions = list(repair.group.completions)
    for place, newcomer in zip(repair.places, newcomers, strict=False):
        completions[place] = newcomer
    return replace(repair.group, completions=tuple(completions), scores=(), old_logprobs=(), looks=())


@dataclass(frozen=True, kw_only=True)
class Draw:
    """The groups of a step, as sampled and as repaired."""

    sampled: list[Group]
    """All groups as the policy sampled them."""
    repaired: list[Group]
    """The groups to choose the batch from: as sampled, or repaired where that gave contrast."""

    def batch(self, count: int) -> list[Group]:
        """Return `count` groups in order; if there are more, drop those without contrast, first drawn first."""
        surplus = max(len(self.repaired) - count, 0)
        without_contrast = [index for index, group in enumerate(self.repaired) if lacks_contrast(group)]
        left_out = set(without_contrast[:surplus])
        return [group for index, group in enumerate(self.repaired) if index not in left_out]

    def metrics(self, config: AlgoConfig) -> dict[str, float]:
        """Return the contrastive/* metrics; {} for a run that neither repairs nor replaces groups."""
        count = len(self.repaired)
        metrics = {"contrastive/left": fmean(map(lacks_contrast, self.repaired))}
        if config.contrastive:
            metrics["contrastive/repaired_all_wrong"] = self._share(Origin.reference_text)
            metrics["contrastive/repaired_all_right"] = self._share(Origin.teacher)
        if config.max_refills:
            metrics["contrastive/left_out"] = (count - config.num_prompts) / count
        return metrics if config.contrastive or config.max_refills else {}

    def _share(self, origin: Origin) -> float:
        """Return the share of groups with a completion of this origin."""
        return fmean(any(answer.origin is origin for answer in group.completions) for group in self.repaired)
