"""Hostile JSON, JSON lines and YAML, made from a seeded random source."""

import json
from random import Random
from typing import Any

import yaml

LETTERS = ("", "a", "Ä", "\u2028", "\n", "\\", '"', "\x00", "\x1b", "🔩", "</think>", "<|image_pad|>", "x" * 3000)
NUMBERS = (0, -1, 1, 0.5, -0.0, 1e308, 5e-324, 10**300, 2**63, 255, True, False, None)
TOKENS = (
    b"NaN",
    b"-Infinity",
    b"1e999",
    b"9" * 5000,
    b"9" * 400,
    b'"\\ud800"',
    b'"\\udc00\\ud83d"',
    b"[" * 2000,
    b'{"a":' * 2000,
    b"[" * 70 + b"]" * 70,
    b'{"a": 1, "a": 2}',
    b'{"a": 1, "\\u0061": 2}',
    b"\xff",
    b"\xed\xa0\x80",
    b"\x00",
    b"\xef\xbb\xbf",
    b'"',
    b"\\",
    b"//",
    b",",
    b"}",
    b"\r",
    b"\n",
)
YAML_TOKENS = (
    *TOKENS,
    b"&a [*a, *a]",
    b"a: &a x\nb: *a",
    b"!!python/object/apply:os.getcwd []",
    b"!!int ''",
    b"!!timestamp x",
    b"!!binary =",
    b"2001-02-30",
    b"2001-01-01 00:00:00 +99:99",
    b"0x_",
    b'"\\UFFFFFFFF"',
    b"0b_",
    b"0x" + b"f" * 5000,
    b"1:" * 5000 + b"1",
    b"=",
    b"<<: [a]",
    b"<<: {a: b}",
    b"? [a]\n: b",
    b"? {a: b}\n: c",
    b"- " * 2000,
    b"? " * 2000,
    b"--- a\n--- b",
    b"%YAML 9.9\n---",
    b"\t",
    b"|\n  x",
    b"@",
    b"`",
    b"a: 1\na: 2",
)


def text(rng: Random) -> str:
    return "".join(rng.choices(LETTERS, k=rng.randrange(4)))


def value(rng: Random, levels: int = 4) -> Any:
    """Return a value that JSON and YAML can hold."""
    kind = rng.randrange(4 if levels else 2)
    if kind == 0:
        return text(rng)
    if kind == 1:
        return rng.choice(NUMBERS)
    parts = [value(rng, levels - 1) for _ in range(rng.randrange(4))]
    return parts if kind == 2 else {text(rng) + str(place): part for place, part in enumerate(parts)}


def as_json(rng: Random, told: Any) -> bytes:
    return json.dumps(told, ensure_ascii=rng.random() < 0.5, indent=rng.choice((None, 1))).encode()


def as_yaml(rng: Random, told: Any) -> bytes:
    return yaml.safe_dump(told, allow_unicode=rng.random() < 0.5, default_flow_style=rng.choice((None, True))).encode()


def spoilt(rng: Random, data: bytes, tokens: tuple[bytes, ...] = TOKENS) -> bytes:
    """Return the bytes as they are, or with one to three things done to them that editors and networks do."""
    for _ in range(rng.choice((0, 1, 1, 2, 3))):
        place, length = rng.randrange(len(data) + 1), rng.randrange(1, 20)
        data = rng.choice(
            (
                data[:place],
                data[:place] + data[place + length :],
                data[:place] + data[place : place + length] + data[place:],
                data[:place] + rng.choice(tokens) + data[place:],
                data[:place] + rng.choice(tokens) + data[place + length :],
                data[:place] + rng.randbytes(1) + data[place + 1 :],
                data.decode(errors="replace").encode("utf-16"),
            )
        )
    return data
