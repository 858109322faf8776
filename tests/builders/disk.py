"""The operations of a folder's files, one by one: to be counted, to fail, or to be replayed after a power loss.

Nothing of Assay is replaced, only Python's own calls to the operating system.
"""

import builtins
import errno
import io
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from rl.faults import of_file

WRITES = set("wax+")


@dataclass(frozen=True, kw_only=True)
class Operation:
    """A change of a file or folder that is about to be made."""

    kind: str
    """ "open", "write", "truncate", "fsync", "rename", "mkdir", "unlink" or "rmdir"."""
    path: str
    target: str = ""
    """New name, of a renaming."""
    data: bytes = b""
    """What is written, at `place`."""
    place: int = 0
    """Offset of a writing, new length of a truncation."""


Watch = Callable[[Operation], None]
"""Called before each operation; an OSError that it raises is the outcome of the operation."""


class FailingFrom:
    """A watch under which the operation of a number fails, and all later ones too unless `once`."""

    def __init__(self, number: int, code: int = errno.ENOSPC, *, once: bool = False) -> None:
        self._number, self._code, self._once = number, code, once
        self.seen: list[Operation] = []

    def __call__(self, operation: Operation) -> None:
        self.seen.append(operation)
        count = len(self.seen)
        if count == self._number or count > self._number and not self._once:
            # As the system raises it: a writing and a syncing do not know their file.
            path = () if operation.kind in ("write", "fsync", "truncate") else (operation.path,)
            raise OSError(self._code, os.strerror(self._code), *path)

    @property
    def has_failed(self) -> bool:
        return len(self.seen) >= self._number


@contextmanager
def watched(root: Path, watch: Watch) -> Iterator[None]:
    """Call `watch` before each operation on what lies in `root`."""
    calls = _Calls(str(root), watch)
    with (
        patch.object(builtins, "open", calls.open),
        patch.object(io, "open", calls.open),
        patch.object(os, "fsync", calls.fsync),
        patch.object(os, "rename", calls.renaming(os.rename)),
        patch.object(os, "replace", calls.renaming(os.replace)),
        patch.object(os, "mkdir", calls.changing("mkdir", os.mkdir)),
        patch.object(os, "unlink", calls.changing("unlink", os.unlink)),
        patch.object(os, "remove", calls.changing("unlink", os.remove)),
        patch.object(os, "rmdir", calls.changing("rmdir", os.rmdir)),
        patch.object(os, "truncate", calls.truncate),
        # Else it copies without a call to write.
        patch.object(shutil, "_USE_CP_SENDFILE", False),
    ):
        yield


class _Calls:
    def __init__(self, root: str, watch: Watch) -> None:
        self._root, self._watch = root, watch
        self._open, self._fsync, self._truncate = io.open, os.fsync, os.truncate

    def tell(self, kind: str, path: str, **more: Any) -> None:
        if path.startswith(self._root):
            self._watch(Operation(kind=kind, path=path, **more))

    def open(self, file: Any, mode: str = "r", buffering: int = -1, *args: Any, **options: Any) -> Any:
        is_path = isinstance(file, str | os.PathLike)
        if not (is_path and WRITES & set(mode) and str(os.path.abspath(file)).startswith(self._root)):
            return self._open(file, mode, buffering, *args, **options)
        path = os.path.abspath(file)
        if "w" in mode or "x" in mode or not os.path.exists(path):
            self.tell("open", path)
        raw = _Raw(path, mode.replace("b", "").replace("t", ""), self)
        binary = (io.BufferedRandom if "+" in mode else io.BufferedWriter)(raw)
        return binary if "b" in mode else io.TextIOWrapper(binary, *args, **options)

    def fsync(self, descriptor: Any) -> None:
        number = descriptor if isinstance(descriptor, int) else descriptor.fileno()
        self.tell("fsync", os.readlink(f"/proc/self/fd/{number}"))
        self._fsync(descriptor)

    def truncate(self, path: Any, length: int) -> None:
        with of_file(path):
            self.tell("truncate", os.path.abspath(path), place=length)
        self._truncate(path, length)

    def renaming(self, rename: Callable[..., None]) -> Callable[..., None]:
        def renamed(source: Any, target: Any) -> None:
            self.tell("rename", os.path.abspath(source), target=os.path.abspath(target))
            rename(source, target)

        return renamed

    def changing(self, kind: str, change: Callable[..., None]) -> Callable[..., None]:
        def changed(path: Any, *args: Any, dir_fd: int | None = None, **options: Any) -> None:
            folder = os.getcwd() if dir_fd is None else os.readlink(f"/proc/self/fd/{dir_fd}")
            whole = os.path.normpath(os.path.join(folder, path))
            # A folder that cannot be made for its place is no operation; pathlib tries before it makes the parents.
            if kind != "mkdir" or os.path.isdir(os.path.dirname(whole)) and not os.path.exists(whole):
                self.tell(kind, whole)
            change(path, *args, dir_fd=dir_fd, **options)

        return changed


class _Raw(io.FileIO):
    """A file below Python's buffers, so that a fault shows where the system would show it: often not before a flush."""

    def __init__(self, path: str, mode: str, calls: _Calls) -> None:
        super().__init__(path, mode)
        self._path, self._calls = path, calls

    def write(self, data: Any) -> int:
        place = self.seek(0, os.SEEK_END) if "a" in self.mode else self.tell()
        self._calls.tell("write", self._path, data=bytes(data), place=place)
        return super().write(data)

    def truncate(self, size: int | None = None) -> int:
        length = self.tell() if size is None else size
        self._calls.tell("truncate", self._path, place=length)
        return super().truncate(length)
