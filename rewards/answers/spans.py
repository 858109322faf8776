"""Parser of an answer's tagged parts, with a sentence for each departure of the tags from the form."""

import re
from functools import lru_cache
from typing import NamedTuple


class Span(NamedTuple):
    """The text between an opening and a closing tag."""

    start: int
    """Index of its first character in the answer."""
    text: str
    is_closed: bool
    """True if the closing tag exists; without it the span goes to the end of the answer."""


EXCERPT_CHARACTERS = 60
JOINT = re.compile(r"</think>\s*+<answer>")


def read_spans(text: str, names: tuple[str, ...], faults: list[str]) -> dict[str, Span]:
    """Return the span of each name.

    Each tag must occur once, in order, with only white space outside; add a fault for each departure.

    >>> faults = []
    >>> read_spans("<think>Even.</think> so <answer>No</answer>", ("think", "answer"), faults)
    {'think': Span(start=7, text='Even.', is_closed=True), 'answer': Span(start=32, text='No', is_closed=True)}
    >>> faults
    ["text at character 21 between </think> and <answer>: 'so '"]
    """
    tags = _tags(names)
    places = [text.find(tag) for tag in tags]
    misplaced = _misplaced(text, tags, places)
    if misplaced:
        faults += misplaced
        return {name: last_span(text, name) if name == "answer" else first_span(text, name) for name in names}
    starts = [place + len(tag) for place, tag in zip(places, tags, strict=True)]
    faults += _strays(text, tags, places, starts)
    return {name: Span(starts[2 * i], text[starts[2 * i] : places[2 * i + 1]], True) for i, name in enumerate(names)}


def with_knowledge(text: str, names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of a form and, if the text has knowledge tags, "knowledge" at their place before the answer."""
    if "knowledge>" not in text:
        return names
    place = text.find("<knowledge>")
    before = sum(0 <= text.find(f"<{name}>") < place for name in names[:-1])
    return (*names[:before], "knowledge", *names[before:])


def is_tagged(text: str) -> bool:
    """Return True if the text contains `<think>…</think><answer>…</answer>`.

    >>> is_tagged("Well. <think></think> <answer>B</answer>"), is_tagged("<think>-</think>B")
    (True, False)
    """
    opened = text.find("<think>")
    joint = JOINT.search(text, opened + len("<think>")) if opened >= 0 else None
    return joint is not None and text.find("</answer>", joint.end()) >= 0


def first_span(text: str, name: str) -> Span:
    """Return the span from the first opening tag to the next closing tag, or to the end of the text."""
    return _span(text, text.find(f"<{name}>"), name)


def last_span(text: str, name: str) -> Span:
    """Return the span from the last opening tag to the next closing tag, or to the end of the text."""
    return _span(text, text.rfind(f"<{name}>"), name)


def excerpt(text: str, start: int = 0) -> str:
    """Return the text from `start` on, printable, on one line and cut after some characters, for a message."""
    end = start + EXCERPT_CHARACTERS
    return ascii(text[start:end]) + ("…" if len(text) > end else "")


@lru_cache
def _tags(names: tuple[str, ...]) -> list[str]:
    return [tag for name in names for tag in (f"<{name}>", f"</{name}>")]


def _span(text: str, opened: int, name: str) -> Span:
    if opened < 0:
        return Span(len(text), "", False)
    start = opened + len(name) + 2
    end = text.find(f"</{name}>", start)
    return Span(start, text[start:] if end < 0 else text[start:end], end >= 0)


def _misplaced(text: str, tags: list[str], places: list[int]) -> list[str]:
    faults = []
    for tag, place in zip(tags, places, strict=True):
        again = text.find(tag, place + 1)
        if place < 0:
            faults.append(f"{tag} occurs 0 times instead of once")
        elif again >= 0:
            faults.append(f"{tag} occurs {text.count(tag)} times instead of once, again at character {again}")
    if not faults and places != sorted(places):
        early = next(i for i in range(1, len(places)) if places[i] < places[i - 1])
        found = f"{tags[early]} stands at character {places[early]}"
        faults.append(f"the tags are not in the order {' '.join(tags)}: {found}")
    return faults


def _strays(text: str, tags: list[str], places: list[int], starts: list[int]) -> list[str]:
    """Return a fault for each text outside the spans; tags[i] begins at places[i] and ends at starts[i]."""
    faults = []
    for i in range(0, len(tags) + 1, 2):
        begin, end = starts[i - 1] if i else 0, places[i] if i < len(tags) else len(text)
        stray = text[begin:end].lstrip()
        if not stray:
            continue
        where = "before" if i == 0 else f"between {tags[i - 1]} and" if i < len(tags) else "after"
        faults.append(f"text at character {end - len(stray)} {where} {tags[min(i, len(tags) - 1)]}: {excerpt(stray)}")
    return faults
