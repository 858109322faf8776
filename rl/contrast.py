"""Contrastive and dynamic sampling: what becomes of groups whose completions all earned the same."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from rl.algorithm import AlgoConfig
from rl.types import Completion, Group, Origin, Sample, Score, Target, Task

NUM_NEGATIVES = 2
NORMAL, DEFECTIVE = "normal", "defective"
WITH_VERDICT = (Task.yes_no, Task.boxes)
HINT = "(Hint: {}. Reason towards that, keep to the form that is asked for, and do not mention this hint.)"


@dataclass(frozen=True, kw_only=True)
class Repair:
    """How a group without contrast may get some."""

    group: Group
    origin: Origin
    """Who writes the completions that join."""
    places: tuple[int, ...]
    """Which completions make room for them, at random."""
    untruth: str = ""
    """What a negative concludes: the other verdict, or the letter of a wrong option; "" for a reference text."""


def lacks_contrast(group: Group) -> bool:
    """Whether all judged completions earned the same, so that every advantage is 0."""
    return len({score.total for score in group.scores if score.total is not None}) <= 1


def plan_repair(group: Group, *, step: int, has_teacher: bool) -> Repair | None:
    """All right → two of a teacher's negatives; otherwise the reference text; None where there is nothing to be had.

    Chance depends on step and sample alone, so that a run that goes on does what a straight one does.
    """
    if not lacks_contrast(group):
        return None
    prompt, count = group.prompt, len(group.completions)
    rng = random.Random(f"{step}/{prompt.sample.id}")
    wrong = untruths(prompt.sample.task, prompt.target)
    if has_teacher and wrong and all_right(group.scores):
        # At least one of the right ones stays.
        places = tuple(rng.sample(range(count), min(NUM_NEGATIVES, count - 1)))
        return Repair(group=group, origin=Origin.teacher, places=places, untruth=rng.choice(wrong))
    if prompt.target.rationale:
        return Repair(group=group, origin=Origin.reference_text, places=(rng.randrange(count),))
    return None


def all_right(scores: Sequence[Score]) -> bool:
    """Whether every judged answer has the right option or, where none is asked for, the right yes or no.

    Where the reward measures neither, no group counts as right, and the reference text is tried.
    """
    judged = [score.components for score in scores if score.total is not None]
    return bool(judged) and all(_verdict(components) == 1 for components in judged)


def _verdict(components: Mapping[str, float | None]) -> float | None:
    option = components.get("choice")
    return components.get("accuracy") if option is None else option


def truth(task: Task, target: Target) -> str:
    """The right verdict or the letter of the right option, which is what makes an answer right."""
    return target.label if task in WITH_VERDICT else target.option


def untruths(task: Task, target: Target) -> list[str]:
    """The other verdict, or the letters of the wrong options; [] where the task has neither."""
    if task in WITH_VERDICT:
        return [DEFECTIVE if target.label == NORMAL else NORMAL]
    return sorted(target.options.keys() - {target.option})


def hinted(sample: Sample, untruth: str) -> Sample:
    """The sample with the opposite of its truth behind the question, as a teacher of negatives is asked it."""
    options = sample.target.options
    if sample.task in WITH_VERDICT:
        hint = f"this sample is {'abnormal' if untruth == DEFECTIVE else 'normal'}"
    else:
        hint = f"the right option is {untruth}, {options[untruth]}"
    return replace(sample, question=f"{sample.question}\n{HINT.format(hint)}")


def joined(repair: Repair, newcomers: Sequence[Completion]) -> Group:
    """The group with the newcomers in their places, to be judged anew."""
    completions = list(repair.group.completions)
    for place, newcomer in zip(repair.places, newcomers, strict=False):
        completions[place] = newcomer
    return replace(repair.group, completions=tuple(completions), scores=(), old_logprobs=(), looks=())


@dataclass(frozen=True, kw_only=True)
class Draw:
    """What a step samples and what it learns from."""

    sampled: list[Group]
    """All groups as the policy sampled them."""
    repaired: list[Group]
    """The same, where possible with contrast."""

    def batch(self, count: int) -> list[Group]:
        """As drawn: groups with contrast, filled up to `count` with the last of those without."""
        flat = [index for index, group in enumerate(self.repaired) if lacks_contrast(group)]
        out = set(flat[: max(len(self.repaired) - count, 0)])
        return [group for index, group in enumerate(self.repaired) if index not in out]

    def metrics(self, config: AlgoConfig) -> dict[str, float]:
        """Shares of the groups; {} for a run that takes them as they come."""
        count = len(self.repaired)
        metrics = {"contrastive/left": fmean(map(lacks_contrast, self.repaired))}
        if config.contrastive:
            metrics["contrastive/repaired_all_wrong"] = self._share(Origin.reference_text)
            metrics["contrastive/repaired_all_right"] = self._share(Origin.teacher)
        if config.max_refills:
            metrics["contrastive/left_out"] = (count - config.num_prompts) / count
        return metrics if config.contrastive or config.max_refills else {}

    def _share(self, origin: Origin) -> float:
        """Of the groups that somebody else joined."""
        return fmean(any(each.origin is origin for each in group.completions) for group in self.repaired)
