"""Reads which option a free text concludes: the "semantic segmentation" of ROAM and of JUDO's structure reward."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from rl.types import Target

USUAL_LETTERS = "ABCDE"
"""Options of MMAD's questions; for targets that do not list theirs."""
LEAST_CHARACTERS = 4
"""Shorter options, such as Yes and No, are too common in a text to conclude anything from."""
ENDING_CHARACTERS = 400

# A letter on its own; a capital A before a word in small letters is an article unless the word goes on about it.
LETTER = r"([A-Z])(?![\w'’]|-\w)(?!(?<=A)\s(?!(?:is|as|because|since|which|with|best|fits|matches|describes)\b)[a-z])"
CUES = (
    r"\b(?i:option|choice|answer|letter|selects?|selected|choose|chose|chosen|choosing|picks?|picked|concludes?"
    r"|conclusion)\b"
)
TURNS = r"\b(?i:therefore|thus|hence|so|but)\b"
"""Begin a thought of their own: "not A but B"."""
FILLERS = (
    r"(?:[\s:=,\"'“”‘’(\[*_]++|(?i:is|are|be|must|should|would|will|the|that|to|it|correct|right|best|option|choice"
    r"|answer|letter|as|likely|most|final|clearly|i|we)\b){0,16}+"
)
PRAISE = (
    r"\s{1,3}(?:(?i:fits|matches|applies|describes)|(?i:is|seems|appears|looks|must\s+be|would\s+be)\s{1,3}"
    r"(?i:(?:the|most|clearly|definitely)\s{1,3}){0,2}"
    r"(?i:correct|right|best|likely|accurate|appropriate|suitable|true|answer))\b"
)
MENTION = re.compile(
    rf"{TURNS}{FILLERS}{LETTER}"
    rf"|{CUES}{FILLERS}{LETTER}"
    rf"|(?<![\w'’]){LETTER}(?={PRAISE})"
    r"|\(([A-Z])\)|\*\*([A-Z])\*\*|(?<![\w'’.])([A-Z])(?=[.):](?:\s|$))"
)
TURN_GROUP = 1
CONCLUDING_GROUPS = 3
"""Groups of MENTION up to this one conclude; the others only name."""
DENIED_BEFORE = re.compile(
    r"(?i:\b(?:no|not|without|never|neither|nor|unlike|rather\s+than|instead\s+of"
    r"|(?:rul|exclud|eliminat|reject)\w*(?:\s+out)?)|n['’]t)[^\w.,;:!?\n]+(?:\w+[^\w.,;:!?\n]+){0,2}$"
)
DENIED_AFTER = re.compile(
    r"[\s)*'\"]{0,4}(?i:(?:is|are|was|can|could|does|do|seems)\s+)?+(?i:not|cannot|\w+n['’]t|incorrect|wrong|false"
    r"|ruled\s+out|excluded|eliminated|rejected|unlikely)\b"
)
DENIED_WITHIN = 40
"""Characters before a mention in which it may be denied."""
SENTENCE_END = re.compile(r"[.!?\n]+\s")


@dataclass(frozen=True, kw_only=True)
class Mention:
    """An option's letter in a text."""

    place: int
    letter: str
    is_concluding: bool
    """Whether the words around it say that this one it is, as in "the answer is B" or "B is correct"."""
    is_denied: bool
    """As in "not option B" or "option B is wrong"."""


def concluded_option(text: str, target: Target) -> str | None:
    """The letter of the option that a text concludes, as far as its words tell; None when they do not.

    The last letter that a conclusion names counts; without one, the only letter there is; without any, the only option
    whose text the last sentence holds. Denied ones do not count.

    >>> target = Target(label="", option="B", options={"A": "Hole.", "B": "Scratch."})
    >>> concluded_option("Option A is wrong, so the answer must be (B).", target)
    'B'
    >>> concluded_option("A line crosses the weave. That is a scratch.", target)
    'B'
    """
    kept = [mention for mention in mentions(text, target.options) if not mention.is_denied]
    concluding = [mention.letter for mention in kept if mention.is_concluding]
    if concluding:
        return concluding[-1]
    named = {mention.letter for mention in kept}
    return named.pop() if len(named) == 1 else _told_in_words(text, target.options)


def mentions(text: str, letters: Iterable[str]) -> list[Mention]:
    """Every mention of one of the letters, in order; of the usual ones where none are given."""
    known = set(letters) or set(USUAL_LETTERS)
    found = []
    for match in MENTION.finditer(text):
        group = match.lastindex
        assert group is not None
        if match[group] in known:
            found.append(
                Mention(
                    place=match.start(group),
                    letter=match[group],
                    is_concluding=group <= CONCLUDING_GROUPS,
                    is_denied=_is_denied(text, match, group),
                )
            )
    return found


def _is_denied(text: str, match: re.Match[str], group: int) -> bool:
    before = text[max(0, match.start() - DENIED_WITHIN) : match.start()]
    return bool(group != TURN_GROUP and DENIED_BEFORE.search(before) or DENIED_AFTER.match(text, match.end(group)))


def _told_in_words(text: str, options: Mapping[str, str]) -> str | None:
    """The only option whose words stand in the last sentence, undenied."""
    ending = " ".join(SENTENCE_END.split(text.strip()[-ENDING_CHARACTERS:])[-1].casefold().split())
    words = {letter: " ".join(told.casefold().strip(" .").split()) for letter, told in options.items()}
    there = {letter: told for letter, told in words.items() if len(told) >= LEAST_CHARACTERS and _holds(ending, told)}
    longest = [a for a, told in there.items() if not any(told != other and told in other for other in there.values())]
    return longest[0] if len(longest) == 1 else None


def _holds(sentence: str, words: str) -> bool:
    match = re.search(rf"(?<!\w){re.escape(words)}(?!\w)", sentence)
    if match is None or DENIED_AFTER.match(sentence, match.end()):
        return False
    return not DENIED_BEFORE.search(sentence[: match.start()])
