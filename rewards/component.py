"""Component: all that is known of one reward, at the end of the reward's own file."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from rewards.answers.parse import Answer
from rewards.item import Item
from rl.config import key
from rl.types import Task

Values = list[float | None | Exception]
"""One value an answer, or what was raised instead; None where the sample has nothing to judge by."""
Judge = Callable[[Sequence[Item], Sequence[Answer]], Values]
"""Judges a batch of answers."""


@dataclass(kw_only=True)
class ComponentConfig:
    weight: float | None = key(None, "Weight in the total; 0 measures without counting, null leaves the component out.")


@dataclass(frozen=True, kw_only=True)
class Component:
    """A reward that judges each answer on its own."""

    help: str
    """Sentence for --help: what it pays for, its range, its paper."""
    judge: Callable[[Item, Answer, Any], float | None]
    """Value of an answer under the component's options; None where the sample has nothing to judge by."""
    tasks: tuple[Task, ...] = tuple(Task)
    """The tasks whose answers it can read."""
    range: tuple[float, float] = (0.0, 1.0)
    """Lowest and highest value."""
    options: type[ComponentConfig] = ComponentConfig
    """Dataclass of its weight and whatever else can be configured."""

    def field(self) -> Any:
        """Return the field of RewardConfig that holds the component's options."""
        return field(default_factory=self.options, metadata={"help": self.help, "component": self})

    def batch_judge(self, options: Any) -> Judge:
        """Return the function that judges a batch under these options."""

        def judge_each(items: Sequence[Item], answers: Sequence[Answer]) -> Values:
            return [self._value(item, answer, options) for item, answer in zip(items, answers, strict=True)]

        return judge_each

    def can_judge(self, item: Item, options: Any) -> bool:
        """Return whether the item's target says what the component judges by."""
        return self.judge(item, Answer(), options) is not None

    def _value(self, item: Item, answer: Answer, options: Any) -> float | None | Exception:
        try:
            return self.judge(item, answer, options)
        except Exception as error:  # noqa: BLE001 - one bad sample of a batch; Composer decides
            return error
