"""A file to which a long run appends its results line by line, and which stays readable if the run is killed."""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from rl.chained import MARK, linked, unlinked
from rl.faults import UserError, of_file
from rl.files import replaced

Line = Mapping[str, Any]
T = TypeVar("T")


class Journal:
    """JSON lines in the order of the samples; an incomplete last line, left by a kill, is dropped and written anew.

    Each line has a digest of itself and of all before it, so that one that was changed is refused.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.lines: list[Line] = []
        """Lines written so far, by earlier runs too."""
        whole = _whole_lines(path)
        self._chain = ""
        for number, text in enumerate(whole, start=1):
            line, self._chain = _read(text, self._chain, f"{path}: line {number}")
            self.lines.append(line)
        if path.exists():
            os.truncate(path, sum(map(len, whole)))

    def __enter__(self) -> "Journal":
        self._file = self._path.open("ab")
        return self

    def __exit__(self, *_: object) -> None:
        # After a fault it tries once more to write what is left.
        with of_file(self._path):
            self._file.close()

    def add(self, line: Line) -> None:
        """Append a line; it is in the file when this returns, even if the run is killed afterwards."""
        text, self._chain = linked(json.dumps(line), self._chain)
        with of_file(self._path):
            self._file.write(f"{text}\n".encode())
            self._file.flush()
        self.lines.append(line)


async def in_batches(
    items: Sequence[T],
    journal: Journal,
    size: int,
    work: Callable[[Sequence[T]], Awaitable[Sequence[Line]]],
    show: Callable[[], None],
) -> None:
    """Add a line for each item, a batch at a time, and call `show` after each batch.

    A batch that is only partly in the journal is worked on as a whole again, so that the rest comes out the same.
    """
    for first in range(0, len(items), size):
        batch = items[first : first + size]
        num_known = max(0, len(journal.lines) - first)
        if num_known < len(batch):
            for line in (await work(batch))[num_known:]:
                journal.add(line)
        show()
        # Work that never awaits must still let a signal through.
        await asyncio.sleep(0)


def as_line(line: Line) -> bytes:
    """Return the line as JSON that ends with a line break."""
    return f"{json.dumps(line)}\n".encode()


def write_whole(path: Path, lines: Iterable[Line]) -> None:
    """Replace the file by these lines; a kill leaves the old file or the new one, never a part."""
    with replaced(path) as unfinished:
        unfinished.write_bytes(b"".join(map(as_line, lines)))


def _whole_lines(path: Path) -> list[bytes]:
    """Return the lines with their line breaks; an incomplete last line has none and is left out."""
    if not path.exists():
        return []
    return [line for line in path.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]


def _read(text: bytes, before: str, where: str) -> tuple[Line, str]:
    """Return what a line tells and the digest of all lines until it."""
    if MARK.encode() not in text:
        raise UserError(f"{where} has no digest, as version 0.1 wrote none; start anew in another folder")
    try:
        told, chain = unlinked(text.decode("utf-8", "replace").removesuffix("\n"), before)
    except ValueError as error:
        raise UserError(f"{where}: {error}; bring the file back, or start anew in another folder") from error
    return json.loads(told), chain
