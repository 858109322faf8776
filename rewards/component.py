"""Component: everything that the composer knows of one reward; each reward's file ends with its own."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

from rewards.answers.parse import Answer
from rewards.item import Item
from rl.config import key
from rl.types import Task

Values = list[float | None | Exception]
"""A value or an exception for each answer; None if the sample has nothing to judge by."""
EMPTY = (None, "", ())
"""Values of an item's field that is not known."""
Judge = Callable[[Sequence[Item], Sequence[Answer]], Values]
"""Function that judges a batch of answers."""


@dataclass(kw_only=True)
class ComponentConfig:
    weight: float | None = key(None, "Weight in the total; 0 measures without counting, null leaves the component out.")


@dataclass(frozen=True, kw_only=True)
class BatchComponent(ABC):
    """A reward that judges a batch of answers in one call."""

    help: str
    """Sentence for --help: what it pays for, its range, its paper."""
    tasks: tuple[Task, ...] = tuple(Task)
    """Tasks whose answers it can read."""
    range: tuple[float, float] = (0.0, 1.0)
    """Lowest and highest value."""
    options: type[ComponentConfig] = ComponentConfig
    """Dataclass of its weight and its other config keys."""
    needs: tuple[str, ...] = ()
    """Fields of an item by which it judges, e.g. "target.label"; () if it judges any answer."""

    def field(self) -> Any:
        """Return the field of RewardConfig that holds the component's options."""
        return field(default_factory=self.options, metadata={"help": self.help, "component": self})

    def lacking(self, item: Item) -> str:
        """Name the fields that keep it from judging an item which it cannot judge."""
        empty = [name for name in self.needs if attrgetter(name)(item) in EMPTY]
        return " and ".join(empty or self.needs) or "its truth"

    @abstractmethod
    def batch_judge(self, options: Any) -> Judge:
        """Return the function that judges a batch under these options."""

    @abstractmethod
    def can_judge(self, item: Item, options: Any) -> bool:
        """Return True if the item's target says what the component judges by."""


@dataclass(frozen=True, kw_only=True)
class Component(BatchComponent):
    """A reward that judges each answer on its own."""

    judge: Callable[[Item, Answer, Any], float | None]
    """Value of an answer under the component's options; None if the sample has nothing to judge by."""

    def batch_judge(self, options: Any) -> Judge:
        def judge_each(items: Sequence[Item], answers: Sequence[Answer]) -> Values:
            return [self._value(item, answer, options) for item, answer in zip(items, answers, strict=True)]

        return judge_each

    def can_judge(self, item: Item, options: Any) -> bool:
        return self.judge(item, Answer(), options) is not None

    def _value(self, item: Item, answer: Answer, options: Any) -> float | None | Exception:
        try:
            return self.judge(item, answer, options)
        except Exception as error:  # noqa: BLE001 - one bad sample of a batch; Composer decides
            return error
