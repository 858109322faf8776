"""The verdict that an answer might have given instead: where it would have begun, and how likely either is."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import exp

from rewards.parse import read_tagged
from rewards.parse_choice import VERDICT
from rl.types import Task

SAME_FORM = {"Yes": "No", "yes": "no", "YES": "NO", "Y": "N", "y": "n"}
RIVALS = SAME_FORM | {no: yes for yes, no in SAME_FORM.items()}
"""What stands in place of a token's letters in the other verdict; small vocabularies spell it letter by letter."""
LETTERS = re.compile(r"[A-Za-z]*")


@dataclass(frozen=True, kw_only=True)
class Fork:
    """Where an answer decides."""

    place: int
    """The token in which its verdict begins."""
    rival: int
    """Id of the token in which the other verdict would have begun."""


def fork_of(pieces: Sequence[str], names: Sequence[str], vocabulary: Mapping[str, int], task: Task) -> Fork | None:
    """None where the answer has no verdict, or the vocabulary no token of the same form for the other one.

    `pieces` are the texts of its tokens, `names` these tokens as the vocabulary writes them.

    >>> parts = ["<answer>", " Yes", "."]
    >>> fork_of(parts, ["<answer>", "ĠYes", "."], {"ĠNo": 7}, Task.yes_no)
    Fork(place=1, rival=7)
    """
    said = verdict_at("".join(pieces), task)
    if said is None:
        return None
    ends = accumulate(map(len, pieces))
    place, end = next((index, end) for index, end in enumerate(ends) if end > said)
    rival = _rival(names[place], said - (end - len(pieces[place])), vocabulary)
    return None if rival is None else Fork(place=place, rival=rival)


def verdict_at(text: str, task: Task) -> int | None:
    """At which character the Yes or No begins that counts as the verdict.

    >>> verdict_at("<think>No hole.</think><answer>Yes</answer>", Task.yes_no)
    31
    """
    answer = read_tagged(text, task, [])["answer"]
    match = VERDICT.match(answer.text)
    return answer.start + match.start(1) if match else None


def p_yes(verdict: str, logprob: float, rival_logprob: float) -> float:
    """p(Yes) / (p(Yes) + p(No)) from the log-probabilities of the given verdict and of its rival.

    >>> p_yes("normal", -0.5, -0.5)
    0.5
    """
    lead = logprob - rival_logprob if verdict == "defective" else rival_logprob - logprob
    return 1 / (1 + exp(-lead)) if lead >= 0 else exp(lead) / (1 + exp(lead))


def _rival(name: str, at: int, vocabulary: Mapping[str, int]) -> int | None:
    letters = LETTERS.match(name[at:])
    said = letters[0] if letters else ""
    return vocabulary.get(name[:at] + RIVALS[said] + name[at + len(said) :]) if said in RIVALS else None
