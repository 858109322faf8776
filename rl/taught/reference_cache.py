"""Reference log-probs of taught answers, computed once and kept in a file beside others of the same model."""

import base64
import fcntl
import hashlib
import json
import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from os import SEEK_END
from pathlib import Path
from typing import IO, Any

import numpy as np

from rl.data.lessons import Lesson
from rl.faults import UserError
from rl.roles import Reference
from rl.types import Group, Logprobs, Sample

BLOCK_BYTES, NUM_BLOCKS = 2**16, 64
"""Of a large file so many blocks, spread evenly, and the last one tell it apart from others."""
LOCK_S = 30.0
"""Longest wait for other runs that write to the same file."""


class ReferenceCache:
    """A file with a line for each answer; one that is torn or altered is as good as missing."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.num_damaged = 0
        """Lines that were there and could not be used."""
        self._known: dict[str, Logprobs] = {}
        for line in path.read_bytes().splitlines() if path.exists() else []:
            read = _read(line)
            if read:
                self._known[read[0]] = read[1]
            else:
                self.num_damaged += 1

    def __contains__(self, key: str) -> bool:
        return key in self._known

    def __getitem__(self, key: str) -> Logprobs:
        return self._known[key]

    def add(self, found: Mapping[str, Logprobs]) -> None:
        """Kept on disk before it is used; runs that share the file wait for one another."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab") as file:
            _lock(file, self.path)
            # A line that a killed run left unfinished must not swallow the next.
            torn = _ends_torn(self.path)
            file.write(b"\n" * torn + b"".join(_line(key, logprobs) for key, logprobs in found.items()))
        self._known |= found


class CachedReference:
    """Plays rl.roles.Reference: what the cache lacks is asked of `inner` and kept."""

    def __init__(self, inner: Reference | None, cache: ReferenceCache, keys: Mapping[str, str]) -> None:
        self._inner = inner
        self._cache = cache
        self._keys = keys
        """Of each lesson, by the id of its sample."""

    async def logprobs(self, groups: Sequence[Group]) -> list[Group]:
        keys = [self._keys[group.prompt.sample.id] for group in groups]
        by_key = dict(zip(keys, groups, strict=True))
        if not all(key in self._cache for key in keys):
            assert self._inner, "the cache was complete when the run started"
            # All of them: what stands beside an answer in a pass moves its last bits.
            asked = zip(by_key, await self._inner.logprobs(list(by_key.values())), strict=True)
            self._cache.add({key: group.reference_logprobs for key, group in asked if key not in self._cache})
        return [replace(group, reference_logprobs=self._cache[key]) for key, group in zip(keys, groups, strict=True)]


def lesson_key(model: str, settings: Any, sample: Sample, lesson: Lesson) -> str:
    """Tells an answer's log-probs apart from all others: the model, how prompts are made, the sample, its texts."""
    digest = hashlib.sha256()
    for image in sample.images:
        digest.update(hashlib.sha256(image.read_bytes()).digest())
    told = [model, settings, sample.id, sample.question, sample.task.value, lesson.chosen, lesson.rejected]
    digest.update(json.dumps(told, default=str, sort_keys=True).encode())
    return digest.hexdigest()[:32]


def folder_digest(folder: Path) -> str:
    """Tells a model folder apart from others, by what its files hold; of large ones by some of their bytes."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.iterdir() if path.suffix in (".json", ".jinja", ".safetensors", ".txt")):
        size = path.stat().st_size
        digest.update(f"{path.name} {size}".encode())
        with path.open("rb") as file:
            for start in (*range(0, size, max(BLOCK_BYTES, size // NUM_BLOCKS)), max(0, size - BLOCK_BYTES)):
                file.seek(start)
                digest.update(file.read(BLOCK_BYTES))
    return digest.hexdigest()[:16]


def _lock(file: IO[bytes], path: Path) -> None:
    """Waits for the runs that write at this moment, which takes each of them no time."""
    deadline = time.monotonic() + LOCK_S
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError as error:
            if time.monotonic() > deadline:
                raise UserError(
                    f"{path}: another process has held it for {LOCK_S:g} s; end that, or give another "
                    "cluster.reference_cache"
                ) from error
            time.sleep(0.01)


def _ends_torn(path: Path) -> bool:
    with path.open("rb") as file:
        if file.seek(0, SEEK_END) == 0:
            return False
        file.seek(-1, SEEK_END)
        return file.read(1) != b"\n"


def _line(key: str, logprobs: Logprobs) -> bytes:
    rows = [base64.b64encode(np.array(row, np.float32).tobytes()).decode() for row in logprobs]
    told = json.dumps({"key": key, "logprobs": rows})
    return json.dumps({"crc": zlib.crc32(told.encode()), "told": told}).encode() + b"\n"


def _read(line: bytes) -> tuple[str, Logprobs] | None:
    try:
        outer = json.loads(line)
        if zlib.crc32(outer["told"].encode()) != outer["crc"]:
            return None
        told = json.loads(outer["told"])
        rows = [np.frombuffer(base64.b64decode(row), np.float32).tolist() for row in told["logprobs"]]
        return told["key"], tuple(map(tuple, rows))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
