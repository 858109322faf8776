"""Files that once were a traceback, a hang, a silent misreading, or a way out of the folder; the list only grows."""

import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from tests.fuzz.pictures import EPS, save

BENT = b'{"test/bent/0.png": %s}'
"""An annotations.json with one entry."""


@dataclass(frozen=True)
class Kept:
    """A file that is refused."""

    name: str
    """Its name, which says what reads it."""
    about: str
    says: str
    """Part of the sentence after the file's path."""
    make: bytes | Callable[[Path], object]
    """Its content, or what makes it at its path."""


def loop(path: Path) -> None:
    path.symlink_to(path)


def wide(path: Path) -> None:
    Image.fromarray(np.full((4, 4), 70_000, np.int32)).save(path)


def floating(path: Path) -> None:
    Image.fromarray(np.full((4, 4), 0.5, np.float32)).save(path)


def deep(path: Path, tag: int, before: int, now: int) -> None:
    """Write a TIFF of 16-bit grey and change a number of its header."""
    Image.fromarray(np.zeros((4, 4), np.uint16)).save(path)
    stated, changed = (struct.pack("<HHIHH", tag, 3, 1, number, 0) for number in (before, now))
    assert stated in path.read_bytes()
    path.write_bytes(path.read_bytes().replace(stated, changed))


NOTES = "annotations.json"
OUTSIDE = "entry 'test/bent/0.png' names '{}'; name a file below"
TWICE = "has the key '{}' a second time"
LAUGHS = b"d: &d {good: x, a: y}\n" + b"".join(b"o%d: *d\n" % number for number in range(9))
CORPUS = (
    Kept(NOTES, "an absolute path", OUTSIDE.format("/etc/hostname"), BENT % b'{"reference": "/etc/hostname"}'),
    Kept(NOTES, "a path upwards", OUTSIDE.format("../secret.png"), BENT % b'{"reference": "../secret.png"}'),
    Kept(NOTES, "a path down and up", OUTSIDE.format("a/../../b.png"), BENT % b'{"reference": "a/../../b.png"}'),
    Kept(NOTES, "a path down and back", OUTSIDE.format("a/../b.png"), BENT % b'{"reference": "a/../b.png"}'),
    Kept(NOTES, "a path with a null", "name a file below", BENT % b'{"reference": "a\\u0000.png"}'),
    Kept(NOTES, "an image twice", "line 2 " + TWICE.format("a"), b'{"a": {},\n"a": {}}'),
    Kept(NOTES, "a field twice", TWICE.format("boxes"), BENT % b'{"boxes": [[0, 0, 1, 1]], "b\\u006fxes": []}'),
    Kept(NOTES, "NaN", "line 1 holds NaN", BENT % b'{"boxes": [[0, 0, NaN, 1]]}'),
    Kept(NOTES, "a float without end", "holds a number that is too large", BENT % b'{"boxes": [[0, 0, 1e999, 1]]}'),
    Kept(NOTES, "an integer past any float", "too large", BENT % (b'{"boxes": [[0, 0, 1%s, 1]]}' % (b"0" * 400))),
    Kept(NOTES, "5000 digits", "too large", b"1" * 5000),
    Kept(NOTES, "many levels", "line 1 nests more than 64 levels", b"[" * 100_000),
    Kept(NOTES, "some levels", "nests more than 64 levels", b"[" * 65 + b"]" * 65),
    Kept(NOTES, "half a letter", "holds a lone surrogate", BENT % b'{"rationale": "\\ud800"}'),
    Kept(NOTES, "Latin-1", "line 2 is not UTF-8 (byte 0xe4)", b'{\n"\xe4": {}}'),
    Kept(NOTES, "a line break in a key", "unknown key 'a b'", BENT % b'{"a\\nb": 1}'),
    Kept(NOTES, "a pipe", "no regular file", os.mkfifo),
    Kept(NOTES, "a folder", "no regular file", Path.mkdir),
    Kept("lessons.jsonl", "a field twice", "line 1 " + TWICE.format("id"), b'{"id": "a", "chosen": "x", "id": "b"}'),
    Kept("lessons.jsonl", "Latin-1", "line 2 is not UTF-8 (byte 0xe4)", b'{"id": "a", "chosen": "x"}\n\xe4'),
    Kept("lessons.jsonl", "many levels", "line 1 nests more than", b'{"id": ' + b"[" * 100_000),
    Kept("lessons.jsonl", "a long line", "line 1 is longer than 4 MiB", b" " * 2**22 + b"x"),
    Kept("lessons.jsonl", "a pipe", "no regular file", os.mkfifo),
    Kept("k.json", "an entry twice", "line 1 " + TWICE.format("o"), b'{"d": {"o": {"good": "x"}, "o": {"good": "y"}}}'),
    Kept("k.yaml", "an entry twice", "line 4 " + TWICE.format("o"), b"d:\n  o:\n    good: x\n  o:\n    good: y\n"),
    Kept("k.yaml", "aliases", "line 1 names a part with & or repeats one with *", LAUGHS),
    Kept("k.yaml", "a tag", "line 1 has the tag tag:yaml.org,2002:int", b"d: !!int ''"),
    Kept("k.yaml", "another tag", "has the tag tag:yaml.org,2002:bool", b"d: !!bool x"),
    Kept("k.yaml", "no such day", "line 2 does not parse (day is out of range for month)", b"d:\n  o: 2001-02-30"),
    Kept("k.yaml", "no such letter", "line 2 is not YAML (chr() arg not in range", b'd:\n  "\\U00FFFFFF"'),
    Kept("k.yaml", "a letter past integers", "line 2 is not YAML (Python int too", b'd:\n  "\\UFFFFFFFF"'),
    Kept("k.yaml", "no digits", "line 1 does not parse", b"d: 0x_"),
    Kept("k.yaml", "5000 digits", "line 1 holds a number that is too long", b"d: 0x" + b"f" * 5000),
    Kept("k.yaml", "hours for ever", "holds a number that is too long", b"d: 1" + b":1" * 100_000),
    Kept("k.yaml", "many levels", "line 1 nests more than 64 levels", b"- " * 5000),
    Kept("k.yaml", "a null", "line 2 is not YAML (special characters are not allowed)", b"d:\n  \x00"),
    Kept("k.yaml", "too much", "the file is larger than 1 MiB", b"#" * (2**20 + 1)),
    Kept("photo.png", "EPS", "the image is damaged, or none of PNG, JPEG, BMP, TIFF, WEBP;", EPS),
    Kept("photo.png", "a pipe", "no regular file", os.mkfifo),
    Kept("photo.png", "a device", "no regular file", lambda path: path.symlink_to("/dev/zero")),
    Kept("photo.png", "a link to itself", "the image is damaged ([Errno 40]", loop),
    Kept("photo.tif", "int32", "nothing says which of the image's values is white (Pillow's mode I)", wide),
    Kept("photo.tif", "float", "nothing says which of the image's values is white (Pillow's mode F)", floating),
    Kept("photo.tif", "white is zero", "nothing says which", partial(deep, tag=262, before=1, now=0)),
    Kept("photo.tif", "12 bits", "nothing says which", partial(deep, tag=258, before=16, now=12)),
    Kept("photo.tif", "LAB", "nothing says which", lambda path: save(Image.new("LAB", (4, 4)), path)),
)
