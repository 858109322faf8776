"""ROAM, AnomalyR1's reward of reasoning and answer together (section 4.5 of its paper)."""

from dataclasses import dataclass
from enum import Enum
from typing import Literal

from rewards.answers.conclusion import concluded_option
from rewards.answers.parse import Answer
from rewards.answers.released_choice import released_choice
from rewards.component import Component, ComponentConfig
from rewards.item import Item
from rewards.truth import known_option
from rl.config import key
from rl.faults import UserError
from rl.types import Target, Task

INCONSISTENT = 0.0
BOTH_PRESENT = 0.05
CONSISTENT = 0.1
RIGHT_ALONE = 0.8
RIGHT_DERIVED = 1.0


def roam_reward(answer: Answer, target: Target, mode: Literal["paper", "released"] = "paper") -> float | None:
    """Return one of five scores; None if the right option is unknown.

    With a the answer's option, y the right option and c the option that the reasoning concludes, R =
      1    if a = y = c: the reasoning derives the right answer,
      0.8  if a = y and the reasoning is missing or concludes nothing,
      0.1  if a = c ≠ y: consistent and wrong,
      0.05 if a ≠ y and there is a reasoning that concludes nothing,
      0    if a ≠ c: inconsistent; if there is no readable answer; if a ≠ y without reasoning.

    Mode "released" reproduces the authors' code: it reads c and a by its scoring of capital letters A to D (see
    `released_choice`), missing tags earn 0, and an empty reasoning counts as one that concludes nothing.

    >>> from rewards.answers.parse import parse_answer
    >>> from rl.types import Task
    >>> answer = parse_answer("<think>A dark line: option B.</think><answer>B</answer>", Task.choice, (10, 10))
    >>> roam_reward(answer, Target(label="defective", option="B")), roam_reward(answer, Target(label="", option="C"))
    (1.0, 0.1)
    """
    right = known_option(target)
    if right is None:
        return None
    if mode == "paper":
        return _paper_score(answer, concluded_option(answer.think, target), right)
    if mode == "released":
        return _released_score(answer, right)
    raise UserError(f'the mode of ROAM must be "paper" or "released"; got "{mode}"')


def _paper_score(answer: Answer, concluded: str | None, right: str) -> float:
    if answer.option is None or concluded not in (None, answer.option):
        return INCONSISTENT
    if answer.option == right:
        return RIGHT_DERIVED if concluded else RIGHT_ALONE
    if concluded:
        return CONSISTENT
    return BOTH_PRESENT if answer.think else INCONSISTENT


def _released_score(answer: Answer, right: str) -> float:
    if not answer.tagged:
        return INCONSISTENT
    concluded, chosen = released_choice(answer.think), released_choice(answer.answer.strip())
    if concluded is None:
        return INCONSISTENT if chosen is None else RIGHT_ALONE if chosen == right else BOTH_PRESENT
    if concluded != chosen:
        return INCONSISTENT
    return RIGHT_DERIVED if chosen == right else CONSISTENT


class RoamMode(Enum):
    paper = "paper"
    released = "released"
    """The cases of the authors' code."""


@dataclass(kw_only=True)
class RoamConfig(ComponentConfig):
    mode: RoamMode = key(RoamMode.paper, "Cases of the paper, or of its authors' released code.")


def _judge(item: Item, answer: Answer, options: RoamConfig) -> float | None:
    return roam_reward(answer, item.target, mode=options.mode.value)


COMPONENT = Component(
    help="Right answer that the reasoning derives, in [0, 1] (AnomalyR1).",
    judge=_judge,
    tasks=(Task.choice, Task.routed, Task.grid),
    options=RoamConfig,
    needs=("target.option",),
)
