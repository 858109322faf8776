"""Trajectories that choose a piece of knowledge, reason under it and answer; the rules for one to learn from."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rl.data.knowledge.entries import called_alike
from rl.data.knowledge.leaks import leaks
from rl.types import Target

MAX_CHARACTERS = 20_000
"""Length up to which a text is read."""
SHOWN_CHARACTERS = 60
PAPER = ("knowledge", "answer")
"""The paper's y = (k, c): the answer holds the reasoning and ends with its conclusion."""
THINKING = ("knowledge", "think", "answer")
"""The paper's form with the reasoning in its own tags, so that the answer is one letter, as the rewards read it."""
ALONE = re.compile(r"\W*+([A-Za-z])\W*+")
LEADING = re.compile(r"\W{0,4}+([A-Z])[.):](?=\s)")
CONCLUDED = re.compile(
    r"\b(?i:answer|(?:correct|right|best)\s{1,3}(?:option|choice))(?:\s{1,3}(?i:is|must\s{1,3}be|should\s{1,3}be))?"
    r"[\s:(*\"']{1,4}([A-Z])(?![\w'’])"
)


@dataclass(frozen=True, kw_only=True)
class Trajectory:
    """The content of a text <knowledge>…</knowledge><answer>…</answer>, as far as it could be read."""

    knowledge: str = ""
    """Name of the chosen piece, and the reason for it."""
    reasoning: str = ""
    """Text between the think tags or, without them, the whole answer."""
    option: str = ""
    """Capital letter of the option that the answer gives; "" if it gives none or two."""
    malformed: tuple[str, ...] = ()
    """Departures from the form, in words."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """The content that a teacher was asked for."""

    knowledge: str
    """Name of the entry to reason under."""
    offered: tuple[str, ...]
    """Names of all entries that the question offers, including `knowledge`."""
    target: Target
    """The truth, with its options."""
    right: bool
    """True if the answer should be the right option, False if a wrong one."""


def read_trajectory(text: str) -> Trajectory:
    """Read a trajectory, with or without think tags, in time linear in its length; never raises.

    >>> read = read_trajectory("<knowledge>Cut: thin lines.</knowledge><answer>A thin line. The answer is B.</answer>")
    >>> read.knowledge, read.reasoning, read.option, read.malformed
    ('Cut: thin lines.', 'A thin line. The answer is B.', 'B', ())
    >>> read_trajectory("<knowledge>Cut</knowledge>B").malformed
    ('<answer> occurs 0 times instead of once', '</answer> occurs 0 times instead of once')
    """
    faults: list[str] = []
    if len(text) > MAX_CHARACTERS:
        faults.append(f"the text has {len(text)} characters; only the first {MAX_CHARACTERS} were read")
        text = text[:MAX_CHARACTERS]
    names = THINKING if "think>" in text else PAPER
    tags = [tag for name in names for tag in (f"<{name}>", f"</{name}>")]
    counts = [(tag, text.count(tag)) for tag in tags]
    faults += [f"{tag} occurs {count} times instead of once" for tag, count in counts if count != 1]
    places = [text.find(tag) for tag in tags]
    if any(count != 1 for _, count in counts) or places != sorted(places):
        return Trajectory(malformed=tuple(faults or [f"the tags are not in the order {' '.join(tags)}"]))
    starts = [place + len(tag) for place, tag in zip(places, tags, strict=True)]
    between = zip([0, *starts[1::2]], [*places[::2], len(text)], strict=True)
    strays = [stray for start, end in between if (stray := text[start:end].strip())]
    faults += [f"text stands outside the tags: {_shown(stray)}" for stray in strays]
    spans = {name: text[starts[2 * i] : places[2 * i + 1]].strip() for i, name in enumerate(names)}
    faults += [f"<{name}> is empty" for name, span in spans.items() if not span]
    option = _option(spans["answer"], faults)
    return Trajectory(
        knowledge=spans["knowledge"],
        reasoning=spans.get("think", spans["answer"]),
        option=option,
        malformed=tuple(faults),
    )


def named_knowledge(knowledge: str, names: Iterable[str]) -> str:
    """Return the first offered name in the text, the longest of those that begin there; "" for none.

    >>> named_knowledge("Surface scratches, not a crack.", ["Crack", "Surface", "Surface Scratches"])
    'Surface Scratches'
    """
    said = f" {called_alike(knowledge)} "
    found = [(place, -len(name), name) for name in names if (place := said.find(f" {called_alike(name)} ")) >= 0]
    return min(found)[2] if found else ""


def verify(text: str, wanted: Wanted, told: Sequence[str] = ()) -> tuple[str, ...]:
    """Return why a teacher's text is unfit, each reason with its kind: form, knowledge, answer or leak; () if fit.

    `told` are the pieces of text that only the teacher got, without the knowledge and question that the policy sees.
    """
    read = read_trajectory(text)
    reasons = [f"form: {fault}" for fault in read.malformed]
    if read.knowledge:
        named = named_knowledge(read.knowledge, wanted.offered)
        if named != wanted.knowledge:
            reasons.append(f"knowledge: it names {named or 'none'} instead of {wanted.knowledge}")
    if read.option:
        reasons += _answer_reasons(read.option, wanted)
    return (*reasons, *(f"leak: {_shown(words)}" for words in _leaks(text[:MAX_CHARACTERS], told)))


def _leaks(text: str, told: Sequence[str]) -> list[str]:
    """Return the words that always leak, then those copied from a piece; each piece is searched on its own."""
    always = leaks(text)
    return [*always, *(words for piece in told for words in leaks(text, piece)[len(always) :])]


def _answer_reasons(option: str, wanted: Wanted) -> list[str]:
    target = wanted.target
    if option not in target.options:
        return [f"answer: {option} is none of the options {' '.join(target.options)}"]
    if (option == target.option) == wanted.right:
        return []
    return [f"answer: {option} is {'wrong' if wanted.right else 'right'} where the other was wanted"]


def _option(answer: str, faults: list[str]) -> str:
    """Return the letter that the answer consists of, begins with, or concludes."""
    alone, leading = ALONE.fullmatch(answer), LEADING.match(answer)
    if alone:
        return alone[1].upper()
    letters = {match[1] for match in CONCLUDED.finditer(answer)} | ({leading[1]} if leading else set())
    if len(letters) == 1:
        return letters.pop()
    told = " and ".join(sorted(letters)) or "no option"
    faults.append(f"the answer concludes {told}: {_shown(answer[-SHOWN_CHARACTERS:])}")
    return ""


def _shown(text: str) -> str:
    return ascii(text[:SHOWN_CHARACTERS])
