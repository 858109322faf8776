"""Cache file of the reference's log-probs of taught answers, so that they are computed once for all runs."""

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
from rl.faults import UserError, of_file
from rl.roles import Reference
from rl.types import Group, Logprobs, Sample

BLOCK_BYTES, NUM_BLOCKS = 2**16, 64
"""Size and minimum number of the evenly spread blocks that a large file's digest reads, besides the last block."""
LOCK_S = 30.0
"""Maximum wait in seconds for other runs that write to the same file."""


class ReferenceCache:
    """A file with a line for each answer; a torn or altered line counts as missing."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.num_damaged = 0
        """Number of lines that could not be used."""
        self._known: dict[str, Logprobs] = {}
        for line in path.read_bytes().splitlines() if path.exists() else []:
            entry = _read(line)
            if entry:
                key, logprobs = entry
                self._known[key] = logprobs
            else:
                self.num_damaged += 1

    def __contains__(self, key: str) -> bool:
        return key in self._known

    def __getitem__(self, key: str) -> Logprobs:
        return self._known[key]

    def add(self, found: Mapping[str, Logprobs]) -> None:
        """Write log-probs by key to disk, then make them available; runs that share the file write one at a time."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with of_file(self.path), self.path.open("ab") as file:
            _lock(file, self.path)
            # A line that a killed run left unfinished must not swallow the next.
            torn = _ends_torn(self.path)
            file.write(b"\n" * torn + b"".join(_line(key, logprobs) for key, logprobs in found.items()))
        self._known |= found


class CachedReference:
    """The rl.roles.Reference that answers from a cache and computes with `inner` what the cache lacks."""

    def __init__(self, inner: Reference | None, cache: ReferenceCache, keys: Mapping[str, str]) -> None:
        self._inner = inner
        self._cache = cache
        self._keys = keys
        """Cache key of each lesson, by the id of its sample."""

    async def logprobs(self, groups: Sequence[Group]) -> list[Group]:
        keys = [self._keys[group.prompt.sample.id] for group in groups]
        by_key = dict(zip(keys, groups, strict=True))
        if not all(key in self._cache for key in keys):
            assert self._inner, "the cache was complete when the run started"
            # Compute all groups, not only the missing ones: the company in a forward pass changes the last bits.
            computed = zip(by_key, await self._inner.logprobs(list(by_key.values())), strict=True)
            self._cache.add({key: group.reference_logprobs for key, group in computed if key not in self._cache})
        return [replace(group, reference_logprobs=self._cache[key]) for key, group in zip(keys, groups, strict=True)]


def lesson_key(model: str, settings: Any, sample: Sample, lesson: Lesson) -> str:
    """Return the cache key of a lesson: a digest of model, prompt settings, sample and texts."""
    digest = hashlib.sha256()
    for image in sample.images:
        digest.update(hashlib.sha256(image.read_bytes()).digest())
    facts = [model, settings, sample.id, sample.question, sample.task.value, lesson.chosen, lesson.rejected]
    digest.update(json.dumps(facts, default=str, sort_keys=True).encode())
    return digest.hexdigest()[:32]


def folder_digest(folder: Path) -> str:
    """Return a digest of the files of a model folder; of large files it reads only some blocks."""
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
    """Lock the file, waiting up to LOCK_S for other runs that write to it."""
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
    entry = json.dumps({"key": key, "logprobs": rows})
    return json.dumps({"crc": zlib.crc32(entry.encode()), "told": entry}).encode() + b"\n"


def _read(line: bytes) -> tuple[str, Logprobs] | None:
    try:
        outer = json.loads(line)
        if zlib.crc32(outer["told"].encode()) != outer["crc"]:
            return None
        entry = json.loads(outer["told"])
        rows = [np.frombuffer(base64.b64decode(row), np.float32).tolist() for row in entry["logprobs"]]
        return entry["key"], tuple(map(tuple, rows))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
