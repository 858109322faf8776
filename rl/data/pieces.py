"""Which part of a decoded text each of its tokens holds."""

import codecs
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

_PRINTED = (*range(33, 127), *range(161, 173), *range(174, 256))
_OTHERS = tuple(byte for byte in range(256) if byte not in _PRINTED)
BYTES = {chr(byte): byte for byte in _PRINTED} | {chr(256 + index): byte for index, byte in enumerate(_OTHERS)}
"""The byte behind each letter of a byte-level vocabulary: a blank is written Ġ, and so on."""


def pieces(names: Sequence[str]) -> list[str]:
    """The text that each token adds; together they are the whole text, bytes that are no letter shown as �.

    A letter that several tokens share belongs to the one that completes it. `names` are the tokens as the vocabulary
    writes them, "" for one that has no text.

    >>> pieces(["A", "Ġhole", "Ã", "¼", "."])
    ['A', ' hole', '', 'ü', '.']
    """
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    last = len(names) - 1
    return [decoder.decode(_bytes(name), final=index == last) for index, name in enumerate(names)]


def names_of(tokenizer: Any, token_ids: Sequence[int]) -> list[str]:
    """The tokens as the vocabulary writes them, special ones, which no text shows, as ""."""
    special = set(tokenizer.all_special_ids)
    names = tokenizer.convert_ids_to_tokens(list(token_ids))
    return ["" if token in special else name for token, name in zip(token_ids, names, strict=True)]


def span_between(parts: Sequence[str], opening: str, closing: str) -> tuple[int, int] | None:
    """[start, end) of the parts that hold what stands between two tags; to the last where the closing one lacks.

    None where there is no opening tag, or nothing behind it.

    >>> span_between(["<think", ">A", " hole", "</", "think>", "Yes"], "<think>", "</think>")
    (1, 3)
    """
    text = "".join(parts)
    before, _, rest = text.partition(opening)
    if before == text or not rest:
        return None
    first = len(before) + len(opening)
    last = first + len(rest.partition(closing)[0])
    ends = list(accumulate(map(len, parts)))
    inside = [
        index
        for index, (end, part) in enumerate(zip(ends, parts, strict=True))
        if first < end and end - len(part) < last
    ]
    return (inside[0], inside[-1] + 1) if inside and last > first else None


def _bytes(name: str) -> bytes:
    """A token that was added to the vocabulary as a whole stands there as it is."""
    if all(letter in BYTES for letter in name):
        return bytes(BYTES[letter] for letter in name)
    return name.encode()
