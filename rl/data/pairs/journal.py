"""A file to which a long run appends line by line what it has found out, and which a killed one leaves readable."""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from rl.faults import UserError

Line = Mapping[str, Any]
T = TypeVar("T")


class Journal:
    """JSON lines in the order of the samples; one that was torn by a kill is dropped and written anew."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.lines: list[Line] = []
        """What is known so far."""
        whole = _whole_lines(path)
        self.lines.extend(_read(path, number, text) for number, text in enumerate(whole, start=1))
        if path.exists():
            os.truncate(path, sum(map(len, whole)))

    def __enter__(self) -> "Journal":
        self._file = self._path.open("ab")
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, line: Line) -> None:
        """In the file before this returns, whoever kills the run afterwards."""
        self._file.write(as_line(line))
        self._file.flush()
        self.lines.append(line)


async def in_batches(
    items: Sequence[T],
    journal: Journal,
    size: int,
    work: Callable[[Sequence[T]], Awaitable[Sequence[Line]]],
    show: Callable[[], None],
) -> None:
    """Adds a line for each item and shows each batch.

    A batch of which a part is known is worked on as a whole again, so that what is left comes out as it would have.
    """
    for first in range(0, len(items), size):
        batch = items[first : first + size]
        num_known = max(0, len(journal.lines) - first)
        if num_known < len(batch):
            for line in (await work(batch))[num_known:]:
                journal.add(line)
        show()
        # Work that waits for nobody must let a signal through.
        await asyncio.sleep(0)


def as_line(line: Line) -> bytes:
    return f"{json.dumps(line)}\n".encode()


def write_whole(path: Path, lines: Iterable[Line]) -> None:
    """The file with these lines: all of it, or what was there before."""
    unfinished = path.with_name(f".{path.name}.unfinished")
    unfinished.write_bytes(b"".join(map(as_line, lines)))
    os.replace(unfinished, path)


def _whole_lines(path: Path) -> list[bytes]:
    """With their ends; what was torn has none."""
    if not path.exists():
        return []
    return [line for line in path.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]


def _read(path: Path, number: int, text: bytes) -> Line:
    try:
        line = json.loads(text)
    except ValueError as error:
        raise UserError(f"{path}: line {number} is not JSON ({error}); start anew in another folder") from error
    if not isinstance(line, dict):
        raise UserError(f"{path}: line {number} holds no JSON object; start anew in another folder")
    return line
