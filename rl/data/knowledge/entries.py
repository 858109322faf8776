"""Expert knowledge of each kind of defect, and the choice of pieces that a question offers (DCR²-AD, A.2)."""

import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from rl import documents
from rl.data.knowledge.naming import agnostic, names_left
from rl.data.questions import kind_text
from rl.faults import UserError, brief

GOOD = "good"
"""Kind of defect of an entry about normal parts, as in MMAD."""
NORMAL_NAME = "Normal"
"""Name of the entries about normal parts."""
OFFER = "Here is some optional knowledge."
TITLED = re.compile(r"\s*<([^<>]{1,200})>\s*(?:Description:\s*)?")
"""Start of a text in MMAD, with the entry's name."""
TAGS = ("<knowledge>", "</knowledge>", "<think>", "</think>", "<answer>", "</answer>", "<|")
"""Forbidden in entries: an answer that quotes one would end a span or contain an image token."""
MOST_NAME_CHARACTERS = 200
"""Maximum length of the name of a data set, object or defect; the forms of a name grow with the cube of its words."""
SAME_DECIMALS = 6
"""Decimals of a similarity, few enough that no machine's rounding decides an order."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """The knowledge of one kind of defect of one kind of object."""

    dataset: str
    object: str
    defect: str
    """Kind of defect; "good" in an entry about normal parts."""
    name: str
    """Name in prompts and answers, e.g. "Broken Teeth"."""
    text: str

    @property
    def key(self) -> str:
        """Dataset, object and defect, e.g. "MVTec.zipper.combined"."""
        return f"{self.dataset}.{self.object}.{self.defect}"


def read_mmad(path: Path) -> list[Entry]:
    """Return the entries of MMAD's domain_knowledge.json, in its order, with the names of their objects."""
    return _entries(path, documents.read_json(path))


def read_yaml(path: Path) -> list[Entry]:
    """Return the entries of a YAML file with dataset → object → defect: text, in its order.

    A text may begin with its name, "<Split Teeth> Two rows …"; otherwise the defect is its name.
    """
    return _entries(path, documents.read_yaml(path))


def object_agnostic(entries: Iterable[Entry]) -> list[Entry]:
    """Return the entries with [object] for each mention of their objects; a UserError names one with a mention left."""
    return [_agnostic(entry) for entry in entries]


def entry_of(entries: Iterable[Entry], object_: str, defect: str) -> Entry:
    """Return the one entry of an object's defect ("good" for a normal part), by folder names or their words."""
    found = [each for each in entries if _same(each.object, object_) and _same(each.defect, defect)]
    if len(found) != 1:
        known = "none" if not found else " and ".join(each.key for each in found)
        raise UserError(f"the knowledge base needs one entry of {object_}.{defect} and has {known}; mend its file")
    return found[0]


def offered(right: Entry, wrong: Iterable[Entry], sample_id: str) -> list[Entry]:
    """Return the right entry among the wrong ones, in an order that the sample's id alone decides."""
    entries = sorted([right, *wrong], key=lambda entry: entry.key)
    called = [called_alike(entry.name) for entry in entries]
    if len(set(called)) < len(called) or len(entries) < 2:
        names = ", ".join(entry.name for entry in entries)
        raise UserError(
            f"sample {sample_id}: its knowledge must be two or more entries of different names; got {names}"
        )
    random.Random(f"knowledge/{sample_id}").shuffle(entries)
    return entries


def with_knowledge(question: str, entries: Iterable[Entry]) -> str:
    """Return the question and its options with a line for each entry.

    >>> entry = Entry(dataset="d", object="zipper", defect="cut", name="Cut", text='A "clean" cut.')
    >>> print(with_knowledge("Which? ...", [entry]))
    Which? ...
    Here is some optional knowledge.
    "Cut": "A 'clean' cut."
    """
    return "\n".join([question, OFFER, *(f'"{_quotable(each.name)}": "{_quotable(each.text)}"' for each in entries)])


def nearest(query: np.ndarray, vectors: np.ndarray, entries: Sequence[Entry], right: Entry, count: int) -> list[Entry]:
    """Return the `count` wrong entries whose vectors [entry, dimension] are most similar to the query's, nearest first.

    The query is the right entry's own vector or the sample's. An entry is wrong if both its defect and its name differ
    from the right one's: knowledge of a scratch is right for a scratch on any object. Of several entries of the same
    name the nearest is taken.
    """
    if len(vectors) != len(entries) or not (np.isfinite(vectors).all() and np.isfinite(query).all()):
        raise RuntimeError(f"nearest needs a finite vector for each of {len(entries)} entries; got {vectors.shape}")
    lengths = np.linalg.norm(vectors, axis=1) * np.linalg.norm(query)
    cosines = np.round(vectors @ query / np.maximum(lengths, np.finfo(np.float32).tiny), SAME_DECIMALS)
    order = sorted(range(len(entries)), key=lambda i: (-float(cosines[i]), entries[i].key))
    return _first_wrong([entries[i] for i in order], right, count)


def uniform(entries: Iterable[Entry], right: Entry, count: int, sample_id: str) -> list[Entry]:
    """Return `count` random wrong entries of different names; the sample's id alone decides which."""
    order = sorted(entries, key=lambda entry: entry.key)
    random.Random(f"wrong knowledge/{sample_id}").shuffle(order)
    return _first_wrong(order, right, count)


def called_alike(name: str) -> str:
    """Return the words of a name in small letters; two names are the same if these are.

    >>> called_alike("Poke-Insulation & Missing  wire")
    'poke insulation missing wire'
    """
    return " ".join(re.findall(r"[^\W_]+", name.casefold()))


def _first_wrong(entries: Iterable[Entry], right: Entry, count: int) -> list[Entry]:
    called = {called_alike(right.name)}
    wrong: list[Entry] = []
    for entry in entries:
        if not _same(entry.defect, right.defect) and called_alike(entry.name) not in called and len(wrong) < count:
            called.add(called_alike(entry.name))
            wrong.append(entry)
    if len(wrong) < count:
        raise UserError(
            f"the knowledge base has {len(wrong)} entries that are wrong where {right.key} is right and needs {count}; "
            "add entries of other defects"
        )
    return wrong


def _agnostic(entry: Entry) -> Entry:
    rewritten = replace(entry, name=agnostic(entry.name, entry.object), text=agnostic(entry.text, entry.object))
    left = names_left(rewritten.name, entry.object) + names_left(rewritten.text, entry.object)
    if left:
        raise UserError(f"{entry.key}: its text still names the object ({', '.join(map(ascii, left))}); reword it")
    return rewritten


def _same(one: str, other: str) -> bool:
    return kind_text(one).casefold() == kind_text(other).casefold()


def _quotable(text: str) -> str:
    """Return the text on one line, without double quotes, so that it can be put in them."""
    return " ".join(text.split()).replace('"', "'")


def _entries(path: Path, datasets: Any) -> list[Entry]:
    entries = [
        _entry(path, dataset, object_, defect, text)
        for dataset, objects in _items(path, "the file", datasets)
        for object_, defects in _items(path, f"'{brief(dataset)}'", objects)
        for defect, text in _items(path, f"'{brief(f'{dataset}.{object_}')}'", defects)
    ]
    keys = Counter(entry.key for entry in entries)
    twice = [key for key, count in keys.items() if count > 1]
    if twice:
        raise UserError(f"{path}: two entries have the key '{brief(twice[0])}'; rename one, without dots")
    for object_ in dict.fromkeys((entry.dataset, entry.object) for entry in entries):
        if ".".join((*object_, GOOD)) not in keys:
            raise UserError(f"{path}: '{brief('.'.join(object_))}' has no entry '{GOOD}'; say what is normal for it")
    return entries


def _items(path: Path, where: str, level: Any) -> Iterator[tuple[str, Any]]:
    if not isinstance(level, dict) or not level:
        raise UserError(f"{path}: {where} holds no entries; write dataset, object and defect, and its text below them")
    for key, value in level.items():
        if not (isinstance(key, str) and key.strip()):
            raise UserError(f"{path}: {where} has the key {brief(repr(key))}, which is no text; put a name in quotes")
        if len(key) > MOST_NAME_CHARACTERS:
            raise UserError(f"{path}: {where} has a name of {len(key)} letters; shorten it to {MOST_NAME_CHARACTERS}")
        yield key, value


def _entry(path: Path, dataset: str, object_: str, defect: str, text: Any) -> Entry:
    where = f"{path}: entry '{brief(f'{dataset}.{object_}.{defect}')}'"
    if not (isinstance(text, str) and text.strip()):
        raise UserError(f"{where} has the text {brief(repr(text))}; write what is known of it in quotes")
    tag = next((tag for tag in TAGS if tag in text + defect), "")
    if tag:
        raise UserError(f"{where} holds {tag}, which has a meaning in answers; remove it")
    title = TITLED.match(text)
    body = " ".join(text[title.end() if title else 0 :].split())
    name = NORMAL_NAME if defect == GOOD else " ".join(title[1].split()) if title else kind_text(defect).capitalize()
    if not (body and called_alike(name)):
        raise UserError(f"{where} has a name and no text, or none of either; write what is known of it")
    return Entry(dataset=dataset, object=object_, defect=defect, name=name, text=body)
