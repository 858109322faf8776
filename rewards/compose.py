"""The composer of a score from named components; only this file weights them."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from rewards.answers.parse import Answer, parse_answer
from rewards.component import Judge, Values
from rewards.config import (
    COMPONENTS,
    FunctionConfig,
    OnError,
    RewardConfig,
    check_reward,
    components,
    is_computed,
    weights,
)
from rewards.functions import Functions, Lost, Raised
from rewards.item import Item, items_of
from rewards.process import Hear
from rl.faults import AssayError, UserError
from rl.types import DEFECTIVE, Group, Sample, Score

Judgement = float | None | str
"""A component's value; None if the sample has nothing to judge by; a sentence about the fault if it failed."""
Attempt = Callable[[Sequence[Item], Sequence[Answer]], Values | Exception]
"""A judge that returns the exception that kept it from judging the batch."""
OF_BOXES = ("box", "box_penalty", "grounding")
"""Components that compare boxes with the true ones."""


class Composer:
    """A reward ready to judge: its options, the sentence encoder and the user's functions are loaded."""

    def __init__(self, config: RewardConfig, *, hear: Hear | None = None) -> None:
        """Load them; `hear` is told each line that a function of the user's prints, None leaves its output alone."""
        check_reward(config)
        self._config = config
        self._weights = weights(config)
        self._judges = _judges(config, hear)

    def score_group(self, group: Group) -> Group:
        """Return the group with a score for each completion."""
        items = items_of(group)
        return replace(group, scores=tuple(self.score(items, read(items))))

    def score(self, items: Sequence[Item], answers: Sequence[Answer]) -> list[Score]:
        """Return the score of each answer: total = Σ weight · component, not normalised.

        The total is None if a component with a weight other than 0 has no value.
        """
        columns = {name: self._judged(name, judge, items, answers) for name, judge in self._judges.items()}
        return [
            self._score(item, answer, {name: column[i] for name, column in columns.items()})
            for i, (item, answer) in enumerate(zip(items, answers, strict=True))
        ]

    def _score(self, item: Item, answer: Answer, judgements: dict[str, Judgement]) -> Score:
        components = {name: None if isinstance(value, str) else value for name, value in judgements.items()}
        faults = tuple(value for value in judgements.values() if isinstance(value, str))
        lacking = [name for name, value in judgements.items() if value is None]
        reasons = (*faults, *(_nothing_to_judge_by(name, item) for name in lacking))
        whole = total(components, self._weights)
        return Score(total=whole, components=components, malformed=answer.malformed, unjudged=reasons, faults=faults)

    def _judged(self, name: str, judge: Attempt, items: Sequence[Item], answers: Sequence[Answer]) -> list[Judgement]:
        """Return a component's judgement of each answer; a fault raises or becomes a sentence, never a silent 0."""
        result = judge(items, answers)
        values = [result] * len(items) if isinstance(result, Exception) else result
        return [self._judgement(name, item, value) for item, value in zip(items, values, strict=True)]

    def _judgement(self, name: str, item: Item, value: float | None | Exception) -> Judgement:
        if isinstance(value, Lost):
            return f"reward {name} on sample {item.id}: {value}"
        if isinstance(value, Exception):
            return self._raised(name, item, value)
        if value is None or math.isfinite(value):
            return value
        sentence = f"reward {name} gave {value} on sample {item.id}; it must be a finite number or None"
        if self._config.on_error is OnError.unjudged:
            return sentence
        raise UserError(sentence)

    def _raised(self, name: str, item: Item, error: Exception) -> Judgement:
        """Return the sentence about an exception of a component, or raise it, by config."""
        # A fault of ours says itself what is wrong; the name of its class tells a user nothing.
        kind = error.kind if isinstance(error, Raised) else type(error).__name__
        raised = "" if isinstance(error, AssayError) else f" raised {kind}"
        sentence = f"reward {name}{raised} on sample {item.id}: {error}"
        if self._config.on_error is OnError.unjudged:
            return sentence
        if name in COMPONENTS and not isinstance(error, AssayError):
            # A bug in a reward of ours is no fault of the user: as a RuntimeError it keeps its traceback.
            raise RuntimeError(sentence) from error
        raise UserError(sentence) from error


def read(items: Sequence[Item]) -> list[Answer]:
    """Parse each completion by the form of its task."""
    return [parse_answer(item.text, item.task, item.image_size) for item in items]


def check_truth(items: Sequence[Item], config: RewardConfig) -> None:
    """Raise a UserError for the first sample that a component with a weight other than 0 could not judge."""
    counting = {name: options for name, options in components(config).items() if options.weight}
    for item in items:
        lacking = [name for name, options in counting.items() if not COMPONENTS[name].can_judge(item, options)]
        if lacking:
            raise UserError(
                f"sample {item.id} has no {COMPONENTS[lacking[0]].lacking(item)} that reward.{lacking[0]} could judge "
                f"by; add it to the data, or choose another reward= or reward.{lacking[0]}.weight=null"
            )


def _nothing_to_judge_by(name: str, item: Item) -> str:
    """Say why a component gave no value."""
    if name not in COMPONENTS:
        return f"reward {name} returned None for this sample"
    return f"reward {name} has nothing to judge by in this sample; it needs {COMPONENTS[name].lacking(item)}"


def check_boxes(samples: Sequence[Sample], weight_of: Mapping[str, float]) -> None:
    """Raise a UserError for the first sample that a reward of boxes could not judge; weights are by component."""
    needy = next((name for name in OF_BOXES if weight_of.get(name)), "")
    for sample in samples:
        if needy and sample.target.label == DEFECTIVE and not sample.target.boxes:
            raise UserError(
                f"sample {sample.id}: nothing says where its defect is, which reward.{needy}.weight={weight_of[needy]} "
                "has to know; add its mask or boxes, or choose reward=yes_no"
            )


def reward_range(config: RewardConfig) -> tuple[float, float]:
    """Return the lowest and highest possible total; the user's functions are assumed to be in [0, 1]."""
    ends = [
        sorted(weight * bound for bound in (component_range(name) or (0.0, 1.0)))
        for name, weight in weights(config).items()
    ]
    return sum(low for low, _ in ends), sum(high for _, high in ends)


def component_range(name: str) -> tuple[float, float] | None:
    """Return the lowest and highest value of a component; None for a function of the user's."""
    return COMPONENTS[name].range if name in COMPONENTS else None


def total(components: dict[str, float | None], weight_of: dict[str, float]) -> float | None:
    """Return the weighted sum; None if a component with a weight other than 0 could not be judged."""
    counting = {name: value for name, value in components.items() if weight_of[name] != 0}
    judged_values = {name: value for name, value in counting.items() if value is not None}
    if len(judged_values) < len(counting):
        return None
    return sum(weight_of[name] * value for name, value in judged_values.items())


def _judges(config: RewardConfig, hear: Hear | None) -> dict[str, Attempt]:
    """Return the judge of every component that is computed, by name."""
    ours: dict[str, Attempt] = {
        name: partial(_attempt, COMPONENTS[name].batch_judge(options))
        for name, options in components(config).items()
        if is_computed(options)
    }
    if not config.functions:
        return ours
    functions = Functions(config, hear)
    return ours | {function.name: _of_user(functions, function) for function in config.functions}


def _attempt(judge: Judge, items: Sequence[Item], answers: Sequence[Answer]) -> Values | Exception:
    try:
        return judge(items, answers)
    except Exception as error:  # noqa: BLE001 - Composer decides
        return error


def _of_user(functions: Functions, function: FunctionConfig) -> Attempt:
    return lambda items, _: functions.judge(function, items)
