"""One score from named components; weighting happens here and nowhere else."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from queue import Empty, SimpleQueue
from threading import Thread

from rewards.answers.parse import Answer, parse_answer
from rewards.component import Judge, Values
from rewards.config import COMPONENTS, OnError, RewardConfig, check_reward, components, is_computed, weights
from rewards.functions import BatchReward, load_function
from rewards.item import Item, items_of
from rl.faults import UserError
from rl.types import Group, Sample, Score

Judgement = float | None | str
"""A component's value; None where the sample has nothing to judge by; a sentence where it went wrong."""
OF_BOXES = ("box", "box_penalty", "grounding")
"""Components that compare boxes with the true ones."""


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
            raise UserError(sentence)
        return sentence


def read(items: Sequence[Item]) -> list[Answer]:
    """What each completion says, in the form of its task."""
    return [parse_answer(item.text, item.task, item.image_size) for item in items]


def check_truth(items: Sequence[Item], config: RewardConfig) -> None:
    """Raises a UserError for the first sample that lacks what a component that counts judges by."""
    counting = {name: options for name, options in components(config).items() if options.weight}
    for item in items:
        lacking = [name for name, options in counting.items() if not COMPONENTS[name].can_judge(item, options)]
        if lacking:
            raise UserError(
                f"sample {item.id} has nothing that reward.{lacking[0]} could judge by; add it to the data, or choose "
                f"another reward= or reward.{lacking[0]}.weight=null"
            )


def check_boxes(samples: Sequence[Sample], weight_of: Mapping[str, float]) -> None:
    """Raise a UserError for the first sample that a reward of boxes could not judge; weights are by component."""
    needy = next((name for name in OF_BOXES if weight_of.get(name)), "")
    for sample in samples:
        if needy and sample.target.label == "defective" and not sample.target.boxes:
            raise UserError(
                f"sample {sample.id}: nothing says where its defect is, which reward.{needy}.weight={weight_of[needy]} "
                "has to know; add its mask or boxes, or choose reward=yes_no"
            )


def reward_range(config: RewardConfig) -> tuple[float, float]:
    """Lowest and highest total that the weights allow; a function of the user's is taken to be in [0, 1]."""
    ends = [
        sorted(weight * bound for bound in (component_range(name) or (0.0, 1.0)))
        for name, weight in weights(config).items()
    ]
    return sum(low for low, _ in ends), sum(high for _, high in ends)


def component_range(name: str) -> tuple[float, float] | None:
    """Return the lowest and highest value of a component of ours; None for a function of the user's."""
    return COMPONENTS[name].range if name in COMPONENTS else None


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


def _judges(config: RewardConfig) -> dict[str, Judge]:
    """Return the judge of every component that is computed, by name."""
    ours = {
        name: COMPONENTS[name].batch_judge(options)
        for name, options in components(config).items()
        if is_computed(options)
    }
    return ours | {function.name: _of_user(load_function(function)) for function in config.functions}


def _of_user(reward: BatchReward) -> Judge:
    return lambda items, answers: list(reward(items))
