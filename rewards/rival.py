"""The tokens with which an answer could have chosen differently: the other verdict or another option."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import exp

from rewards.answers.choice import OPTION, VERDICT, read_option
from rewards.answers.parse import read_tagged
from rl.types import DEFECTIVE, Task

SAME_FORM = {"Yes": "No", "yes": "no", "YES": "NO", "Y": "N", "y": "n"}
RIVALS = SAME_FORM | {no: yes for yes, no in SAME_FORM.items()}
"""Letters of the other verdict by the letters of a token; small vocabularies spell Yes and No letter by letter."""
LETTERS = re.compile(r"[A-Za-z]*")


@dataclass(frozen=True, kw_only=True)
class Fork:
    """The token of an answer that decides its verdict."""

    place: int
    """Index of the token in which the verdict begins."""
    rival: int
    """Id of the token in which the other verdict would begin."""


@dataclass(frozen=True, kw_only=True)
class Crossroads:
    """The token of an answer that chooses its option."""

    place: int
    """Index of the token that holds the option's letter."""
    options: Mapping[str, int]
    """Id of the token that would stand in this place for each letter."""


def fork_of(pieces: Sequence[str], names: Sequence[str], vocabulary: Mapping[str, int], task: Task) -> Fork | None:
    """Return where an answer decides its verdict, and the token of the other verdict.

    `pieces` are the texts of the answer's tokens, `names` the same tokens as the vocabulary writes them. None if the
    answer has no verdict, or the vocabulary has no token of the same form for the other verdict.

    >>> parts = ["<answer>", " Yes", "."]
    >>> fork_of(parts, ["<answer>", "ĠYes", "."], {"ĠNo": 7}, Task.yes_no)
    Fork(place=1, rival=7)
    """
    said = verdict_at("".join(pieces), task)
    if said is None:
        return None
    place, at = _token_at(pieces, said)
    rival = _rival(names[place], at, vocabulary)
    return None if rival is None else Fork(place=place, rival=rival)


def crossroads_of(
    pieces: Sequence[str], names: Sequence[str], vocabulary: Mapping[str, int], task: Task, letters: Collection[str]
) -> Crossroads | None:
    """Return where an answer chooses its option, and the token of each letter.

    `pieces` and `names` are as for `fork_of`. None if the answer is none of the letters, or the vocabulary lacks a
    token of the same form for one of them.

    >>> parts = ["<answer>", "B", "</"]
    >>> crossroads_of(parts, parts, {"A": 5, "B": 6}, Task.choice, "AB")
    Crossroads(place=1, options={'A': 5, 'B': 6})
    """
    answer = read_tagged("".join(pieces), task, [])["answer"]
    match, said = OPTION.match(answer.text), read_option(answer, [])
    if match is None or said not in letters:
        return None
    place, at = _token_at(pieces, answer.start + match.start(1))
    head, tail = names[place][:at], names[place][at + 1 :]
    # Upper or lower case, as the answer writes its own letter.
    written = {letter: letter if match[1].isupper() else letter.lower() for letter in letters}
    options = {letter: vocabulary.get(head + form + tail) for letter, form in written.items()}
    known = {letter: token for letter, token in options.items() if token is not None}
    return Crossroads(place=place, options=known) if len(known) == len(options) else None


def verdict_at(text: str, task: Task) -> int | None:
    """Return the index of the character at which the verdict, Yes or No, begins; None without a verdict.

    >>> verdict_at("<think>No hole.</think><answer>Yes</answer>", Task.yes_no)
    31
    """
    answer = read_tagged(text, task, [])["answer"]
    match = VERDICT.match(answer.text)
    return answer.start + match.start(1) if match else None


def p_yes(verdict: str, logprob: float, rival_logprob: float) -> float:
    """Return p(Yes) / (p(Yes) + p(No)) from the log-probabilities of the given verdict and of its rival.

    >>> p_yes("normal", -0.5, -0.5)
    0.5
    """
    lead = logprob - rival_logprob if verdict == DEFECTIVE else rival_logprob - logprob
    return 1 / (1 + exp(-lead)) if lead >= 0 else exp(lead) / (1 + exp(lead))


def _token_at(pieces: Sequence[str], character: int) -> tuple[int, int]:
    """Return the index of the token that holds the character, and the character's index in this token."""
    ends = accumulate(map(len, pieces))
    place, end = next((index, end) for index, end in enumerate(ends) if end > character)
    return place, character - (end - len(pieces[place]))


def _rival(name: str, at: int, vocabulary: Mapping[str, int]) -> int | None:
    letters = LETTERS.match(name[at:])
    said = letters[0] if letters else ""
    return vocabulary.get(name[:at] + RIVALS[said] + name[at + len(said) :]) if said in RIVALS else None
