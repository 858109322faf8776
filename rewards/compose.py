"""One score from named components; weighting happens here and nowhere else."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from queue import Empty, SimpleQueue
from threading import Thread

from rewards.accuracy import accuracy_reward
from rewards.answers.parse import Answer, parse_answer
from rewards.box import box_reward
from rewards.box_penalty import box_penalty_reward
from rewards.choice import choice_reward
from rewards.config import OnError, RewardConfig, check_reward, components, is_computed, weights
from rewards.consistency import consistency_reward
from rewards.domain import Embedder, domain_rewards
from rewards.emit import emit_reward
from rewards.format import format_reward
from rewards.functions import BatchReward, load_function
from rewards.grounding import grounding_reward
from rewards.iad_r1 import iad_r1_reward
from rewards.item import Item, items_of
from rewards.knowledge import knowledge_reward
from rewards.overlong import overlong_penalty
from rewards.roam import roam_reward
from rewards.segmentation import segmentation_reward
from rewards.structure import structure_reward
from rl.types import Group, Score

Values = list[float | None | Exception]
Judge = Callable[[Sequence[Item], Sequence[Answer]], Values]
"""Judges a batch: one value an answer, or what was raised instead."""
Judgement = float | None | str
"""A component's value; None where the sample has nothing to judge by; a sentence where it went wrong."""
RANGES = {"box_penalty": (-0.2, 0.0), "iad_r1": (0.0, 2.0), "emit": (-1.0, 1.0), "overlong": (-1.0, 0.0)}
"""Of the components that are not in [0, 1]; that of the box penalty is for one true box."""


class Composer:
    """Holds what a reward needs: its options, the sentence encoder, the user's functions."""

    def __init__(self, config: RewardConfig) -> None:
        check_reward(config)
        self._config = config
        self._weights = weights(config)
        self._judges = _judges(config)

    def score_group(self, group: Group) -> Group:
        """The group with a score for each completion."""
        items = items_of(group)
        return replace(group, scores=tuple(self.score(items, read(items))))

    def score(self, items: Sequence[Item], answers: Sequence[Answer]) -> list[Score]:
        """total = Σ weight · component, not normalised; a weighted component without a value (None) leaves no total."""
        columns = {name: self._judged(name, judge, items, answers) for name, judge in self._judges.items()}
        return [
            self._score(answer, {name: column[i] for name, column in columns.items()})
            for i, answer in enumerate(answers)
        ]

    def _score(self, answer: Answer, judgements: dict[str, Judgement]) -> Score:
        told = {name: value for name, value in judgements.items() if isinstance(value, str)}
        components = {name: None if isinstance(value, str) else value for name, value in judgements.items()}
        lacking = [name for name, value in judgements.items() if value is None]
        reasons = (*told.values(), *(f"reward {name} has nothing to judge by in this sample" for name in lacking))
        whole = total(components, self._weights)
        return Score(total=whole, components=components, malformed=answer.malformed, unjudged=reasons)

    def _judged(self, name: str, judge: Judge, items: Sequence[Item], answers: Sequence[Answer]) -> list[Judgement]:
        """One component's values; what goes wrong stops the run or is told, it never becomes a silent 0."""
        values = in_time(lambda: judge(items, answers), self._config.timeout_s)
        each = [values] * len(items) if isinstance(values, Exception) else values
        return [self._kept(name, item, value) for item, value in zip(items, each, strict=True)]

    def _kept(self, name: str, item: Item, value: float | None | Exception) -> Judgement:
        if isinstance(value, TimeoutError):
            return f"reward {name} on sample {item.id}: {value}"
        if isinstance(value, Exception):
            sentence = f"reward {name} raised {type(value).__name__} on sample {item.id}: {value}"
        elif value is None or math.isfinite(value):
            return value
        else:
            sentence = f"reward {name} gave {value} on sample {item.id}; it must be a finite number or None"
        if self._config.on_error is OnError.stop:
            raise ValueError(sentence)
        return sentence


def read(items: Sequence[Item]) -> list[Answer]:
    """What each completion says, in the form of its task."""
    return [parse_answer(item.text, item.task, item.image_size) for item in items]


def check_truth(items: Sequence[Item], config: RewardConfig) -> None:
    """Raises a ValueError for the first sample that lacks what a component that counts judges by."""
    counting = {name for name, weight in weights(config).items() if weight}
    judges = {name: judge for name, judge in _each(config).items() if name in counting}
    for item in items:
        lacking = [name for name, judge in judges.items() if judge(item, Answer()) is None]
        if "domain" in counting and not item.target.rationale:
            lacking.append("domain")
        if lacking:
            raise ValueError(
                f"sample {item.id} has nothing that reward.{lacking[0]} could judge by; add it to the data, or choose "
                f"another reward= or reward.{lacking[0]}.weight=null"
            )


def reward_range(config: RewardConfig) -> tuple[float, float]:
    """Lowest and highest total that the weights allow; a function of the user's is taken to be in [0, 1]."""
    ends = [
        sorted(weight * bound for bound in RANGES.get(name, (0.0, 1.0))) for name, weight in weights(config).items()
    ]
    return sum(low for low, _ in ends), sum(high for _, high in ends)


def total(components: dict[str, float | None], weight_of: dict[str, float]) -> float | None:
    """Weighted sum, or None when a component that counts could not be judged."""
    counting = {name: value for name, value in components.items() if weight_of[name] != 0}
    judged_values = {name: value for name, value in counting.items() if value is not None}
    if len(judged_values) < len(counting):
        return None
    return sum(weight_of[name] * value for name, value in judged_values.items())


def in_time(work: Callable[[], Values], seconds: float) -> Values | Exception:
    """What the work gives or raises, from a thread of its own, so that it can be left behind when it hangs."""
    done: SimpleQueue[Values | Exception] = SimpleQueue()

    def run() -> None:
        try:
            done.put(work())
        except Exception as error:  # noqa: BLE001 - told to whoever waits
            done.put(error)
        except SystemExit as error:
            done.put(RuntimeError(f"it left by sys.exit({error.code})"))

    Thread(target=run, daemon=True).start()
    try:
        return done.get(timeout=seconds)
    except Empty:
        return TimeoutError(f"no answer in reward.timeout_s={seconds:g} s")


def _each(config: RewardConfig) -> dict[str, Callable[[Item, Answer], float | None]]:
    """The rewards that judge an answer on its own: a name here is the config's and the metric's."""
    return {
        "format": lambda item, answer: format_reward(answer),
        "accuracy": lambda item, answer: accuracy_reward(answer, item.target),
        "choice": lambda item, answer: choice_reward(answer, item.target),
        "knowledge": lambda item, answer: knowledge_reward(answer, item.target),
        "box": lambda item, answer: box_reward(answer, item.target),
        "box_penalty": lambda item, answer: box_penalty_reward(answer, item.target),
        "grounding": lambda item, answer: grounding_reward(answer, item.target),
        "consistency": lambda item, answer: _consistency(item, config),
        "segmentation": lambda item, answer: segmentation_reward(answer, item.target),
        "structure": lambda item, answer: structure_reward(answer, item.target),
        "roam": lambda item, answer: roam_reward(answer, item.target, mode=config.roam.mode.value),
        "iad_r1": lambda item, answer: iad_r1_reward(answer, item.target),
        "emit": lambda item, answer: emit_reward(answer, item.target),
        "overlong": lambda item, answer: _overlong(item, config),
    }


def _judges(config: RewardConfig) -> dict[str, Judge]:
    """Those that are computed, for batches."""
    judges: dict[str, Judge] = {name: _one_by_one(judge) for name, judge in _each(config).items()}
    wanted = {name for name, component in components(config).items() if is_computed(component)}
    if "domain" in wanted:
        embedder = Embedder(config.domain.model)
        judges["domain"] = lambda items, answers: list(
            domain_rewards(answers, [item.target for item in items], embedder, threshold=config.domain.threshold)
        )
    own = {function.name: _of_user(load_function(function)) for function in config.functions}
    return {name: judge for name, judge in judges.items() if name in wanted} | own


def _one_by_one(judge: Callable[[Item, Answer], float | None]) -> Judge:
    def judge_each(items: Sequence[Item], answers: Sequence[Answer]) -> Values:
        return [_value(judge, item, answer) for item, answer in zip(items, answers, strict=True)]

    return judge_each


def _value(judge: Callable[[Item, Answer], float | None], item: Item, answer: Answer) -> float | None | Exception:
    try:
        return judge(item, answer)
    except Exception as error:  # noqa: BLE001 - one bad sample of a batch; Composer decides
        return error


def _of_user(reward: BatchReward) -> Judge:
    return lambda items, answers: list(reward(items))


def _consistency(item: Item, config: RewardConfig) -> float | None:
    if item.agreement is None:
        return None
    return consistency_reward(
        item.agreement,
        item.target,
        delta_high=config.consistency.delta_high,
        delta_low=config.consistency.delta_low,
    )


def _overlong(item: Item, config: RewardConfig) -> float | None:
    if item.num_tokens is None:
        return None
    return overlong_penalty(item.num_tokens, config.overlong.max_tokens, config.overlong.buffer_tokens)
