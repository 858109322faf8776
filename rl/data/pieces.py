"""The part of a decoded text that each of its tokens holds."""

import codecs
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

_PRINTED = (*range(33, 127), *range(161, 173), *range(174, 256))
_OTHERS = tuple(byte for byte in range(256) if byte not in _PRINTED)
BYTES = {chr(byte): byte for byte in _PRINTED} | {chr(256 + index): byte for index, byte in enumerate(_OTHERS)}
"""Byte behind each character of a byte-level vocabulary, which writes a space as Ġ, for example."""


def pieces(names: Sequence[str]) -> list[str]:
    """Return the text that each token adds; joined, they are the whole text, with � for invalid bytes.

    A character that several tokens share belongs to the token that completes it. `names` are the tokens as the
    vocabulary writes them, "" for a token without text.

    >>> pieces(["A", "Ġhole", "Ã", "¼", "."])
    ['A', ' hole', '', 'ü', '.']
    """
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    last = len(names) - 1
    return [decoder.decode(_bytes(name), final=index == last) for index, name in enumerate(names)]


def names_of(tokenizer: Any, token_ids: Sequence[int]) -> list[str]:
    """Return the tokens as the vocabulary writes them, and "" for special ones, which no text shows."""
    special = set(tokenizer.all_special_ids)
    names = tokenizer.convert_ids_to_tokens(list(token_ids))
    return ["" if token in special else name for token, name in zip(token_ids, names, strict=True)]


def span_between(parts: Sequence[str], opening: str, closing: str) -> tuple[int, int] | None:
    """Return [start, end) of the parts that hold the text between two tags; without a closing tag, to the last part.

    Return None if there is no opening tag or no text after it.

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
    """Return the bytes of a token; one that was added to the vocabulary as a whole is plain text."""
    if all(letter in BYTES for letter in name):
        return bytes(BYTES[letter] for letter in name)
    return name.encode()
