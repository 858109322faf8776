"""What a disk may hold after a power loss, given the operations until then.

Only what was synced is sure. Of a file's other writings any may be there, in any order, the last one torn; of other
changes of names in a folder, the first few.
"""

import os
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from builders.disk import Operation


@dataclass(kw_only=True, eq=False)
class _File:
    durable: bytearray = field(default_factory=bytearray)
    pending: list[Operation] = field(default_factory=list)

    def sync(self) -> None:
        for operation in self.pending:
            self._apply(operation, len(operation.data))
        self.pending.clear()

    def _apply(self, operation: Operation, length: int) -> None:
        if operation.kind == "write":
            end = operation.place + length
            self.durable.extend(bytes(max(0, end - len(self.durable))))
            self.durable[operation.place : end] = operation.data[:length]
        else:
            del self.durable[operation.place :]

    def lose(self, rng: random.Random) -> None:
        """Apply some of what is pending; of the last one a part."""
        chosen = [operation for operation in self.pending if rng.random() < 0.5]
        if rng.random() < 0.5:
            rng.shuffle(chosen)
        for number, operation in enumerate(chosen, start=1):
            self._apply(
                operation, rng.randrange(len(operation.data) + 1) if number == len(chosen) else len(operation.data)
            )


@dataclass(kw_only=True, eq=False)
class _Folder:
    durable: dict[str, "_File | _Folder"] = field(default_factory=dict)
    now: dict[str, "_File | _Folder"] = field(default_factory=dict)
    pending: list[tuple[str | None, str | None, "_File | _Folder | None"]] = field(default_factory=list)
    """Changes of names: the one that goes, the one that comes, and to what it leads."""

    def change(self, gone: str | None, come: str | None, to: "_File | _Folder | None") -> None:
        self.pending.append((gone, come, to))
        _renamed(self.now, gone, come, to)

    def sync(self) -> None:
        self.lose_after(len(self.pending))
        self.pending.clear()

    def lose_after(self, count: int) -> None:
        for gone, come, to in self.pending[:count]:
            _renamed(self.durable, gone, come, to)


def _renamed(entries: dict, gone: str | None, come: str | None, to: "_File | _Folder | None") -> None:
    if gone is not None:
        entries.pop(gone, None)
    if come is not None:
        entries[come] = to


class Disk:
    """A disk on which operations were made, from an empty and synced root on."""

    def __init__(self, root: Path, operations: Sequence[Operation]) -> None:
        self._root, self._top = str(root), _Folder()
        for operation in operations:
            self._make(operation)

    def _make(self, operation: Operation) -> None:
        match operation.kind:
            case "fsync":
                self._at(operation.path).sync()
            case "write" | "truncate":
                self._file(operation.path).pending.append(operation)
            case _:
                self._change_names(operation)

    def _change_names(self, operation: Operation) -> None:
        folder, name = self._place(operation.path)
        match operation.kind:
            case "mkdir":
                folder.change(None, name, _Folder())
            case "open" if name not in folder.now:
                folder.change(None, name, _File())
            case "open":
                self._file(operation.path).pending.append(Operation(kind="truncate", path=operation.path))
            case "unlink" | "rmdir":
                folder.change(name, None, None)
            case "rename":
                self._rename(folder, name, operation.target)

    def _rename(self, folder: _Folder, name: str, new_path: str) -> None:
        target, new_name = self._place(new_path)
        moved = folder.now[name]
        if target is folder:
            folder.change(name, new_name, moved)
        else:
            target.change(None, new_name, moved)
            folder.change(name, None, None)

    def _place(self, path: str) -> tuple[_Folder, str]:
        folder = self._at(os.path.dirname(path)) if path != self._root else self._top
        assert isinstance(folder, _Folder)
        return folder, os.path.basename(path)

    def _at(self, path: str) -> _File | _Folder:
        found: _File | _Folder = self._top
        for name in Path(path).relative_to(self._root).parts:
            assert isinstance(found, _Folder)
            found = found.now[name]
        return found

    def _file(self, path: str) -> _File:
        found = self._at(path)
        assert isinstance(found, _File)
        return found

    def after_a_loss(self, folder: Path, rng: random.Random) -> None:
        """Write into the folder what the disk may hold now; it can be asked once."""
        _write_after_loss(self._top, folder, rng)


def _write_after_loss(held: _Folder, folder: Path, rng: random.Random) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    # The ends are the likeliest: nothing of it was written yet, or all of it.
    held.lose_after(rng.choice([0, len(held.pending), rng.randrange(len(held.pending) + 1)]))
    for name, inside in held.durable.items():
        if isinstance(inside, _Folder):
            _write_after_loss(inside, folder / name, rng)
        else:
            inside.lose(rng)
            (folder / name).write_bytes(inside.durable)
