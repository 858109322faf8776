"""Removes an object's name from knowledge about it, so that the knowledge serves other objects too (DCR²-AD)."""

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

PLACEHOLDER = "[object]"
ALSO_CALLED = {
    "cashew": ("nut", "cashew nut"),
    "chewinggum": ("gum",),
    "drink_can": ("beverage can",),
    "pcb": ("circuit board", "printed circuit board"),
}
"""Other names of objects in the knowledge of public data sets."""
IRREGULAR = {"tooth": "teeth", "foot": "feet", "man": "men", "woman": "women", "mouse": "mice", "die": "dice"}
MOSTLY_NO_NOUN = frozenset({"can", "set"})
"""Words that name an object only after a determiner: "the can", but not "it can"."""
DETERMINERS = frozenset(("a", "an", "the", "this", "that", "each", "every", "one", "any", "no", "its", "another"))
ENDINGS = ("en", "y", "ed", "ing", "like", "less")
"""Endings that make another word of a name, such as wooden or tiled."""
SIBILANTS = ("s", "x", "z", "ch", "sh", "o")
SHORTEST_STEM = 4
"""Fewest letters of a name that is also removed from longer words: screw from screwdriver, but not pin from pink."""
SHORTEST_PART = 2
"""Fewest letters of each part of a name that a text writes as two words, such as "tooth brush"."""
DIGITS = "0123456789"
WORD = re.compile(r"\[object\]|[^\W_]+")
BETWEEN = re.compile(r"[\s_\-\u2010-\u2013]*")
"""Characters between the words of one name."""
CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
NUM_EXCERPTS = 3


class Names(NamedTuple):
    """The names of an object, in small letters and without spaces or hyphens."""

    whole: frozenset[str]
    """Every form of every name."""
    split: frozenset[tuple[str, ...]]
    """Names of several words, as their words."""
    stems: tuple[str, ...]
    """Names that are also removed from words that begin with them, the shortest first."""
    most_words: int
    """Number of words of the longest name."""
    most_letters: int
    """Number of letters of the longest name."""


class _Word(NamedTuple):
    """A word of a text; the placeholder is one word."""

    text: str
    """The word in small letters."""
    start: int
    end: int
    follows: str
    """Word directly before it; "" if other characters stand between."""


def agnostic(text: str, object_: str) -> str:
    """Return the text with [object] for each name of the object, in any number or spelling, or as the start of a word.

    It takes time linear in the text's length.

    >>> agnostic("Metal nuts: the metal-nut's rim; a NUT, a metallic nutshell.", "metal_nut")
    "[object]: the [object]'s rim; a [object], a metallic nutshell."
    """
    names, words = names_of(object_), list(_words(text))
    pieces, kept, i = [], 0, 0
    while i < len(words):
        end = _end(words, i, names)
        ends = [words[end - 1].end] if end else _stem_ends(words[i], names)
        if ends:
            pieces += [text[kept : words[i].start], PLACEHOLDER * len(ends)]
            kept = ends[-1]
        if ends and not end:
            # The rest of a longer word may be a name again.
            _cut(words, i, kept)
        else:
            i = max(end, i + 1)
    return "".join([*pieces, text[kept:]])


def names_left(text: str, object_: str) -> tuple[str, ...]:
    """Return the first few words of the text that still name the object, even in letters that only look different."""
    plain = "".join(
        character
        for character in unicodedata.normalize("NFKD", text.replace(PLACEHOLDER, ". "))
        if unicodedata.category(character) not in ("Mn", "Cf")
    )
    names, words = names_of(object_), list(_words(plain))
    found = [plain[words[i].start : words[end - 1].end] for i in range(len(words)) if (end := _end(words, i, names))]
    known = set(found)
    stemmed = [word.text for word in words if word.text not in known and word.text.startswith(names.stems)]
    return tuple(dict.fromkeys([*found, *stemmed]))[:NUM_EXCERPTS]


@lru_cache(maxsize=256)
def names_of(object_: str) -> Names:
    """Return the names of an object: its own, runs of its words, its last word alone, and others in use."""
    words = _name_words(object_)
    runs = {tuple(words[i:j]) for i in range(len(words)) for j in range(i + 2, len(words) + 1)}
    heads = {tuple(words[-1:])} - {()}
    others = {tuple(_name_words(other)) for other in ALSO_CALLED.get("_".join(words), ())}
    forms = {(*name[:-1], last) for name in runs | heads | others for last in _forms(name[-1])}
    full = _forms("".join(words)) if words else set()
    stems = {form for form in full if len(form) >= SHORTEST_STEM}
    whole = {"".join(name) for name in forms} | full | {_ended(form, ending) for form in stems for ending in ENDINGS}
    split = frozenset(name for name in forms if len(name) > 1)
    return Names(
        whole=frozenset(whole),
        split=split,
        stems=tuple(sorted(stems, key=lambda stem: (len(stem), stem))),
        most_words=max([2, *map(len, split)]),
        most_letters=max(map(len, whole), default=0),
    )


def _name_words(name: str) -> list[str]:
    """Return the words of a name in small letters, without a number at its end, which only counts objects: pcb1."""
    words = [word.lower() for word in re.findall(r"[^\W_]+", CAMEL.sub(" ", name))]
    if words and (stripped := words[-1].rstrip(DIGITS)):
        words[-1] = stripped
    elif words:
        words.pop()
    return words


def _forms(word: str) -> set[str]:
    """Return the word in the singular and the plural; some of the forms are not English, which does no harm."""
    singulars = {word, *(one for one, many in IRREGULAR.items() if many == word)}
    if word.endswith("ies"):
        singulars.add(f"{word[:-3]}y")
    if word.endswith("ves"):
        singulars |= {f"{word[:-3]}f", f"{word[:-3]}fe"}
    if word.endswith("es") and word[:-2].endswith(SIBILANTS):
        singulars.add(word[:-2])
    if word.endswith("s") and not word.endswith(("ss", "us", "is")):
        singulars.add(word[:-1])
    return singulars | {plural for singular in singulars for plural in _plurals(singular)}


def _plurals(word: str) -> Iterator[str]:
    yield f"{word}s"
    if word.endswith(SIBILANTS):
        yield f"{word}es"
    if word.endswith("y"):
        yield f"{word[:-1]}ies"
    if word.endswith(("f", "fe")):
        yield f"{word.rstrip('e')[:-1]}ves"
    yield from (f"{word[: -len(one)]}{many}" for one, many in IRREGULAR.items() if word.endswith(one))


def _ended(word: str, ending: str) -> str:
    return f"{word[:-1] if word.endswith('e') and ending[0] in 'eiy' else word}{ending}"


def _stem_ends(word: _Word, names: Names) -> list[int]:
    """Return where in the text the stems end with which a word begins, up to where the rest may itself be a name."""
    ends, place = [], 0
    # Digits around a name belong to it. A rest of more letters than two names need not be looked at as a whole.
    last = len(word.text.rstrip(DIGITS)) - 2 * names.most_letters
    while stem := next((stem for stem in names.stems if word.text.startswith(stem, place)), ""):
        place += len(stem)
        ends.append(word.start + place)
        if place >= last:
            break
    return ends


def _cut(words: list[_Word], i: int, start: int) -> None:
    """Leave of words[i] what begins at `start` in the text, which follows a placeholder now."""
    word = words[i]
    words[i] = word._replace(text=word.text[start - word.start :], start=start, follows=PLACEHOLDER)
    if i + 1 < len(words) and words[i + 1].follows:
        words[i + 1] = words[i + 1]._replace(follows=words[i].text)


def _end(words: list[_Word], i: int, names: Names) -> int:
    """Return the index after the last word of the longest name that begins at words[i]; 0 if none does."""
    parts = [words[i].text]
    for word in words[i + 1 : i + names.most_words]:
        if word.follows != parts[-1]:
            break
        parts.append(word.text)
    return next((i + count for count in range(len(parts), 0, -1) if _is_name(parts[:count], words[i], names)), 0)


def _is_name(parts: list[str], first: _Word, names: Names) -> bool:
    if len(parts) > 1:
        *before, last = parts
        spelt = (*before, last.rstrip(DIGITS))
        written_apart = "".join(spelt) in names.whole and min(map(len, spelt)) >= SHORTEST_PART
        return tuple(parts) in names.split or spelt in names.split or written_apart
    (word,) = parts
    if word in MOSTLY_NO_NOUN and first.follows not in DETERMINERS:
        return False
    return word in names.whole or word.strip(DIGITS) in names.whole


def _words(text: str) -> Iterator[_Word]:
    before, end = "", 0
    for match in WORD.finditer(text):
        joins = BETWEEN.fullmatch(text, end, match.start()) is not None
        # Letters whose small form is longer would shift the positions in the text.
        small = "".join(one if len(one.lower()) > 1 else one.lower() for one in match[0])
        yield _Word(small, match.start(), match.end(), before if joins else "")
        before, end = small, match.end()
