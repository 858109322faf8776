"""KR-RTS: for each sample a trajectory under the right knowledge and one under wrong knowledge, verified by rules."""

import random
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from string import Formatter
from typing import Any, Protocol

from rl.data.config import Choice
from rl.data.knowledge.entries import Entry
from rl.data.knowledge.offers import Offer
from rl.data.knowledge.routing import Wanted, verify
from rl.data.pairs.config import RoutingConfig
from rl.data.pairs.journal import Line
from rl.data.pairs.template_teacher import template_trajectory, wrong_option
from rl.types import Sample

HINT = (
    '(Hint: choose the knowledge "{name}", reason rigorously under it alone, and conclude that the right option is '
    "{letter}, {option}. Keep to the form that is asked for, and do not mention this hint.)"
)
TOLD = tuple(words for words, *_ in Formatter().parse(HINT))
"""The parts of the hint between the knowledge's name and the option, which the policy sees too."""
CHOSEN, REJECTED = "chosen", "rejected"
"""The sides of a pair."""


@dataclass(frozen=True, kw_only=True)
class Order:
    """A request for a trajectory."""

    sample: Sample
    entry: Entry
    """Knowledge to reason under."""
    wanted: Wanted
    seed: int

    @property
    def option(self) -> str:
        """Letter to end with: the right one, or the wrong one that the knowledge speaks for."""
        target = self.sample.target
        if self.wanted.right:
            return target.option
        return wrong_option(self.entry, target, random.Random(f"wrong option/{self.seed}/{self.sample.id}"))

    @property
    def hint(self) -> str:
        """Text that only a teacher gets."""
        letter = self.option
        return HINT.format(name=self.entry.name, letter=letter, option=self.sample.target.options[letter].rstrip("."))

    @property
    def hinted(self) -> Sample:
        """Sample whose question ends with the hint, for a teacher."""
        return replace(self.sample, question=f"{self.sample.question}\n{self.hint}")


class PairTeacher(Protocol):
    """Writer of trajectories."""

    async def write(self, orders: Sequence[Order]) -> list[str]:
        """Return a text for each order; "" for one that did not come to an end."""


class TemplateTeacher:
    """Writer without a model."""

    async def write(self, orders: Sequence[Order]) -> list[str]:
        return [
            template_trajectory(order.entry, order.sample, right=order.wanted.right, seed=order.seed, thinks=True)
            for order in orders
        ]


@dataclass(frozen=True, kw_only=True)
class Pairing:
    """A sample with the knowledge under which its two trajectories reason."""

    sample: Sample
    right: Entry
    wrong: Entry

    def order(self, side: str, seed: int) -> Order:
        """Return the request for the trajectory of a side."""
        is_right = side == CHOSEN
        entry = self.right if is_right else self.wrong
        wanted = Wanted(
            knowledge=entry.name, offered=self.sample.target.offered, target=self.sample.target, right=is_right
        )
        return Order(sample=self.sample, entry=entry, wanted=wanted, seed=seed)


def pairing(sample: Sample, offer: Offer, wrong: Choice) -> Pairing:
    """Pair a sample's right entry with the nearest of the wrong ones offered, or with one drawn by the sample's id."""
    place = 0 if wrong is Choice.deceptive else random.Random(f"pair/{sample.id}").randrange(len(offer.wrong))
    return Pairing(sample=sample, right=offer.right, wrong=offer.wrong[place])


def seed_of(seed: int, sample_id: str, attempt: int) -> int:
    """Return the seed of a text, which depends on nothing else, so that a resumed run writes the same texts."""
    return zlib.crc32(f"{seed}/{sample_id}/{attempt}".encode())


async def write_pairs(
    pairings: Sequence[Pairing], teacher: PairTeacher, config: RoutingConfig, seed: int
) -> Sequence[Line]:
    """Return a journal line per sample: both texts, None for one that no attempt made fit, and the failed attempts."""
    lines: list[dict[str, Any]] = [
        {
            "id": each.sample.id,
            CHOSEN: None,
            REJECTED: None,
            "knowledge": each.right.name,
            "wrong_knowledge": each.wrong.name,
            "failures": [],
        }
        for each in pairings
    ]
    for attempt in range(config.attempts):
        lacking = [
            (line, side, each.order(side, seed_of(seed, each.sample.id, attempt)))
            for line, each in zip(lines, pairings, strict=True)
            for side in (CHOSEN, REJECTED)
            if line[side] is None
        ]
        texts = await teacher.write([order for _, _, order in lacking]) if lacking else []
        for (line, side, order), text in zip(lacking, texts, strict=True):
            reasons = verify(text, order.wanted, TOLD)
            if reasons:
                line["failures"].append({"side": side, "attempt": attempt, "reasons": reasons, "text": text})
            else:
                line[side] = text
    return lines


def is_pair(line: Mapping[str, Any]) -> bool:
    """Return True if a journal line has both texts."""
    return line[CHOSEN] is not None and line[REJECTED] is not None


def kinds_of(reasons: Iterable[str]) -> list[str]:
    """Return the kinds that open the reasons, each once.

    >>> kinds_of(["form: <think> is empty", "leak: 'as given'", "form: <answer> is empty"])
    ['form', 'leak']
    """
    return list(dict.fromkeys(reason.partition(":")[0] for reason in reasons))


def why_left_out(line: Mapping[str, Any]) -> str:
    """Return why a sample has no pair: the kind of fault in the last attempt at a side that is lacking."""
    lacking = next(side for side in (CHOSEN, REJECTED) if line[side] is None)
    last = [failure for failure in line["failures"] if failure["side"] == lacking][-1]
    return kinds_of(last["reasons"])[0]
