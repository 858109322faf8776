"""Parser of the option that free text concludes: the "semantic segmentation" of ROAM and JUDO's structure reward."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from rl.types import Target

USUAL_LETTERS = "ABCDE"
"""Letters of MMAD's options, for targets that do not list their options."""
LEAST_CHARACTERS = 4
"""Minimum length of an option's text that counts as a conclusion; shorter ones, such as Yes and No, are too common."""
ENDING_CHARACTERS = 400

# A letter on its own. A capital A before a lower-case word is an article, unless a word such as "is" or "because"
# shows that it is an option.
LETTER = r"([A-Z])(?![\w'’]|-\w)(?!(?<=A)\s(?!(?:is|as|because|since|which|with|best|fits|matches|describes)\b)[a-z])"
CUES = (
    r"\b(?i:option|choice|answer|letter|selects?|selected|choose|chose|chosen|choosing|picks?|picked|concludes?"
    r"|conclusion)\b"
)
TURNS = r"\b(?i:therefore|thus|hence|so|but)\b"
"""Words that begin a new thought, so that a "not" before them does not deny what follows: "not A but B"."""
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
"""Last group of MENTION that concludes; later groups only name an option."""
DENIED_BEFORE = re.compile(
    r"(?i:\b(?:no|not|without|never|neither|nor|unlike|rather\s+than|instead\s+of"
    r"|(?:rul|exclud|eliminat|reject)\w*(?:\s+out)?)|n['’]t)[^\w.,;:!?\n]+(?:\w+[^\w.,;:!?\n]+){0,2}$"
)
DENIED_AFTER = re.compile(
    r"[\s)*'\"]{0,4}(?i:(?:is|are|was|can|could|does|do|seems)\s+)?+(?i:not|cannot|\w+n['’]t|incorrect|wrong|false"
    r"|ruled\s+out|excluded|eliminated|rejected|unlikely)\b"
)
DENIED_WITHIN = 40
"""Number of characters before a mention that are searched for a denial."""
SENTENCE_END = re.compile(r"[.!?\n]+\s")


@dataclass(frozen=True, kw_only=True)
class Mention:
    """An option's letter in a text."""

    place: int
    letter: str
    is_concluding: bool
    """True if the words around the letter choose it, as in "the answer is B" or "B is correct"."""
    is_denied: bool
    """True if the words around the letter reject it, as in "not option B" or "option B is wrong"."""


def concluded_option(text: str, target: Target) -> str | None:
    """Return the letter of the option that a text concludes; None if it concludes none.

    That is the last letter named in a conclusion; without a conclusion, the only letter that is mentioned; without a
    letter, the only option whose text is in the last sentence. Denied options do not count.

    >>> target = Target(label="", option="B", options={"A": "Hole.", "B": "Scratch."})
    >>> concluded_option("Option A is wrong, so the answer must be (B).", target)
    'B'
    >>> concluded_option("A line crosses the weave. That is a scratch.", target)
    'B'
    """
    accepted = [mention for mention in mentions(text, target.options) if not mention.is_denied]
    concluding = [mention.letter for mention in accepted if mention.is_concluding]
    if concluding:
        return concluding[-1]
    named = {mention.letter for mention in accepted}
    return named.pop() if len(named) == 1 else _option_in_words(text, target.options)


def mentions(text: str, letters: Iterable[str]) -> list[Mention]:
    """Return every mention of one of the letters, in order; if `letters` is empty, of USUAL_LETTERS."""
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


def _option_in_words(text: str, options: Mapping[str, str]) -> str | None:
    """Return the letter of the only option whose words stand undenied in the last sentence; None if there is none.

    An option whose words are part of another such option, as "scratch" of "deep scratch", does not count.
    """
    ending = " ".join(SENTENCE_END.split(text.strip()[-ENDING_CHARACTERS:])[-1].casefold().split())
    words = {letter: " ".join(option.casefold().strip(" .").split()) for letter, option in options.items()}
    found = {a: option for a, option in words.items() if len(option) >= LEAST_CHARACTERS and _asserts(ending, option)}
    longest = [a for a, option in found.items() if not any(option != b and option in b for b in found.values())]
    return longest[0] if len(longest) == 1 else None


def _asserts(sentence: str, words: str) -> bool:
    match = re.search(rf"(?<!\w){re.escape(words)}(?!\w)", sentence)
    if match is None or DENIED_AFTER.match(sentence, match.end()):
        return False
    return not DENIED_BEFORE.search(sentence[: match.start()])
