"""The nature of the simulated world, as pure functions: what a policy answers, earns and learns by its weights."""

import hashlib
import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from rl.contrast import Repair
from rl.roles import Metrics
from rl.types import DEFECTIVE, NORMAL, Completion, Group, Look, Origin, Prompt, Sample, Score, Target, Task

REWARDS = {"accuracy": 1.0}
"""Weights of the reward's components."""
RANGES = {"accuracy": (0.0, 1.0), "format": (0.0, 1.0)}
NO_PLACES = np.zeros((1, 1), np.uint8)


@dataclass(frozen=True)
class Weights:
    """The whole of a simulated policy: a hash chain of the groups that it learned from."""

    step: int = 0
    chain: str = "untrained"


def draw(*causes: object) -> int:
    """Return a number that depends on the causes alone."""
    return zlib.crc32(repr(causes).encode())


def prompts(kind: str, count: int) -> list[Prompt]:
    """Make the prompts of as many samples; two of three samples have a reference text."""
    return [_prompt(f"{kind}{index}", index) for index in range(count)]


def _prompt(name: str, index: int) -> Prompt:
    target = Target(label=DEFECTIVE if index % 2 else NORMAL, rationale="It is so." if index % 3 else "")
    sample = Sample(id=name, images=(), question="?", target=target, category="part", task=Task.yes_no)
    return Prompt(sample=sample, token_ids=(1,), pixels=None, image_spans=(), image_size=(0, 0), target=target)


def completion(*causes: object, version: int = 0, origin: Origin = Origin.policy, right: bool | None = None):
    """Make an answer whose text decides what it earns; the last digit of a right answer is 1."""
    number = draw(*causes)
    is_right = number // 16 % 2 == 1 if right is None else right
    length = 1 + number % 5
    return Completion(
        token_ids=(7,) * length,
        text=f"{number:08x}{int(is_right)}",
        logprobs=() if origin is Origin.reference_text else (-0.5,) * length,
        finish_reason="length" if number % 7 == 0 else "stop",
        policy_version=version,
        origin=origin,
    )


def answered(prompt: Prompt, weights: Weights, version: int, count: int) -> Group:
    """Return the answers of a policy with these weights."""
    causes = weights.chain, prompt.sample.id
    return Group(prompt=prompt, completions=tuple(completion(*causes, i, version=version) for i in range(count)))


def judged(group: Group, leaves_unjudged: bool) -> Group:
    return replace(group, scores=tuple(_score(answer.text, leaves_unjudged) for answer in group.completions))


def _score(text: str, leaves_unjudged: bool) -> Score:
    number, right = int(text[:-1], 16), float(text[-1])
    malformed = () if number % 3 else ("no answer",)
    components: dict[str, float | None] = {"accuracy": right, "format": float(not malformed)}
    if leaves_unjudged and number % 5 == 0:
        components["accuracy"] = None
        return Score(total=None, components=components, malformed=malformed, unjudged=("accuracy: no truth",))
    return Score(total=right, components=components, malformed=malformed)


def observed(group: Group, weights: Weights) -> Group:
    """Return the group with log-probs and looks of these weights."""
    numbers = [draw(weights.chain, answer.text) % 8 for answer in group.completions]
    looks = tuple(
        Look(
            relevance=(0.5,),
            entropy=(number / 8,),
            weights=(float(number > 2),),
            top=(0,),
            supports=NO_PLACES,
            shape=(1, 1),
            agreement=number / 8,
        )
        for number in numbers
    )
    return replace(group, old_logprobs=tuple((-number / 8,) for number in numbers), looks=looks)


def compared(group: Group) -> Group:
    """Return the group with the log-probs of the frozen reference."""
    return replace(group, reference_logprobs=tuple((-1.0 * (draw(answer.text) % 4),) for answer in group.completions))


def written(repair: Repair, step: int) -> tuple[Completion, ...]:
    """Return the answers that a repairer writes, sometimes fewer than asked for, and not always of the right kind."""
    name = repair.group.prompt.sample.id
    usable = repair.places[: draw(name, step) % (len(repair.places) + 2)]
    should_be_right = repair.origin is Origin.reference_text
    return tuple(
        completion(name, step, place, origin=repair.origin, right=should_be_right == (draw(name, place, step) % 4 > 0))
        for place in usable
    )


def lesson(prompt: Prompt, group_size: int) -> Group:
    """Return what a sample teaches: its right answer, and for a pair a wrong one."""
    answers = tuple(completion(prompt.sample.id, place) for place in range(group_size))
    return Group(prompt=prompt, completions=answers, advantages=(1.0, -1.0)[:group_size])


def learned(weights: Weights, groups: Sequence[Group]) -> Weights:
    """Return the weights after an update, which tell everything that it saw, and in which order."""
    digest = hashlib.blake2b(weights.chain.encode(), digest_size=8)
    for group in groups:
        answers = [(each.text, each.policy_version, each.origin.value) for each in group.completions]
        totals = [(score.total, score.malformed) for score in group.scores]
        looks = [look.agreement for look in group.looks]
        seen = answers, totals, group.advantages, group.reference_logprobs, group.old_logprobs, looks
        digest.update(repr((group.prompt.sample.id, seen)).encode())
    return Weights(step=weights.step + 1, chain=digest.hexdigest())


def report(weights: Weights) -> Metrics:
    """Return the metrics of the update that led to these weights; their entropy is not always a number."""
    number = draw(weights.chain)
    return {"actor/loss": number % 64 / 64, "actor/entropy": math.nan if number % 3 == 0 else number % 5 / 5}
