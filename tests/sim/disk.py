"""Faults of the disk, by the number of an operation: the process dies, a write is torn or fails, the disk is full."""

import errno
import os
import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from builders.disk import Operation, watched
from builders.power import Disk as PoweredDisk
from sim.clock import Died
from sim.swarm import Fault
from sim.trace import Trace

NEEDS_SPACE = ("open", "write", "mkdir")
"""Operations that a full disk refuses."""
WITHOUT_NAME = ("write", "fsync", "truncate")
"""Operations whose errors name no file."""


class Disk:
    """The folder `root` as one life sees it: its operations are counted, and some of them fail or are the last."""

    def __init__(self, root: Path, faults: list[Fault], rng: random.Random, trace: Trace, *, may_lose: bool) -> None:
        """Remember all operations if the power `may_lose` some of them."""
        self.operations = 0
        self.is_dead = False
        """True once the process is dead: nothing is written any more."""
        self.renaming: Callable[[Path, Path], None] = _nothing
        self.renamed: Callable[[Path, Path], None] = _nothing
        """Called before and after a renaming."""
        self._root, self._rng, self._trace = root, rng, trace
        self._faults = {fault.at: fault for fault in faults}
        self._full_until = 0
        self._has_lost_power = False
        self._last: Operation | None = None
        self._log = list(_all_of(root)) if may_lose else None

    @contextmanager
    def installed(self) -> Iterator[None]:
        """See the operations of the block."""
        try:
            with watched(self._root, self):
                yield
        finally:
            self.settle()
            if self._has_lost_power:
                self._lose()

    def __call__(self, operation: Operation) -> None:
        """Count an operation that is about to be made; raise what befalls it."""
        if self.is_dead:
            raise Died
        self.settle()
        self.operations += 1
        if self.operations in self._faults:
            self._befall(self._faults[self.operations], operation)
        if self.operations < self._full_until and operation.kind in NEEDS_SPACE:
            raise _error(errno.ENOSPC, operation)
        if operation.kind == "rename":
            self.renaming(Path(operation.path), Path(operation.target))
        if self._log is not None and os.path.isdir(os.path.dirname(operation.path)):
            self._log.append(operation)
        self._last = operation

    def settle(self) -> None:
        """Tell of the last operation, which has been made."""
        last, self._last = self._last, None
        if last and last.kind == "rename":
            self.renamed(Path(last.path), Path(last.target))

    def die(self) -> None:
        self.is_dead = True
        raise Died

    def lose_power(self) -> None:
        """Die; the disk will hold what a power loss may leave."""
        self._has_lost_power = True
        self.die()

    def _lose(self) -> None:
        assert self._log is not None
        left = self._root.with_name(f"left_of_{self._root.name}")
        PoweredDisk(self._root, self._log).after_a_loss(left, self._rng)
        shutil.rmtree(self._root)
        left.rename(self._root)

    def _befall(self, fault: Fault, operation: Operation) -> None:
        number = errno.ENOSPC if fault.kind == "full" else errno.EIO
        place = f"operation {fault.at}, {operation.kind} {Path(operation.path).relative_to(self._root)}"
        self._trace.befall(fault.kind, os.strerror(number), place)
        if fault.kind == "full":
            self._full_until = self.operations + fault.span
        elif fault.kind == "io":
            raise _error(number, operation)
        elif fault.kind == "power_in_file":
            self.lose_power()
        else:
            if fault.kind == "torn" and operation.kind == "write":
                # Always one draw: the length may hang on the process's id.
                _write_part(operation, int(self._rng.random() * len(operation.data)))
            self.die()


def _error(number: int, operation: Operation) -> OSError:
    path = () if operation.kind in WITHOUT_NAME else (operation.path,)
    return OSError(number, os.strerror(number), *path)


def _write_part(operation: Operation, length: int) -> None:
    descriptor = os.open(operation.path, os.O_WRONLY)
    os.pwrite(descriptor, operation.data[:length], operation.place)
    os.close(descriptor)


def _all_of(root: Path) -> Iterator[Operation]:
    """Yield operations that would make the folder as it is, safe on the disk."""
    for path in sorted(root.rglob("*")):
        if path.is_dir():
            yield Operation(kind="mkdir", path=str(path))
        else:
            yield Operation(kind="open", path=str(path))
            yield Operation(kind="write", path=str(path), data=path.read_bytes())
            yield Operation(kind="fsync", path=str(path))
    for folder in (root, *root.rglob("*/")):
        yield Operation(kind="fsync", path=str(folder))


def _nothing(source: Path, target: Path) -> None:
    """Listen to no renaming."""
