"""Parsers of an answer's verdict and of its option."""

import re

from rewards.answers.spans import Span, excerpt
from rl.types import DEFECTIVE, NORMAL

VERDICTS = {"yes": DEFECTIVE, "no": NORMAL}
VERDICT = re.compile(r"\W*+(yes|no)\b", re.IGNORECASE)
OPTION = re.compile(r"\W*+([A-Za-z])(?!\w)")
LABELLED = (".", ")", ":", "\n")
"""Characters after which text may follow an option's letter, as in "B. Scratch"; "A scratch" names no option."""


def read_verdict(span: Span, faults: list[str]) -> str | None:
    """Return "defective" for an answer that begins with Yes, "normal" for No, else None."""
    start, said, _ = span
    match = VERDICT.match(said)
    if match:
        return VERDICTS[match[1].lower()]
    faults.append(f"the answer begins with neither Yes nor No at character {start}: {excerpt(said)}")
    return None


def read_option(span: Span, faults: list[str]) -> str | None:
    """Return the answer's one letter as a capital, or None; text after the letter is a fault.

    >>> faults = []
    >>> [read_option(Span(0, said, True), faults) for said in ("(b)", "B. Scratch", "A scratch")]
    ['B', 'B', None]
    >>> faults[0]
    "the answer holds more than the letter B at character 2: ' Scratch'"
    """
    start, said, _ = span
    match = OPTION.match(said)
    rest = said[match.end() :] if match else ""
    is_alone = not any(character.isalnum() for character in rest)
    if match and (is_alone or rest[0] in LABELLED):
        if not is_alone:
            where = f"at character {start + match.end() + 1}: {excerpt(rest[1:])}"
            faults.append(f"the answer holds more than the letter {match[1]} {where}")
        return match[1].upper()
    faults.append(f"the answer is not one option's letter at character {start}: {excerpt(said)}")
    return None
