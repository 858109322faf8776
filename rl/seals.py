"""Digests of files: taken when the files are written, compared before they are read back."""

import errno
import hashlib
import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from rl.faults import of_file

THREADS = 8
"""Files that are read at a time; hashlib releases the interpreter's lock."""


@dataclass(frozen=True, kw_only=True)
class Seal:
    """The size and the digest of a file."""

    bytes: int
    sha256: str


def sealed(path: Path) -> Seal:
    """Return the seal of a file that has just been written, once the file is safe on the disk."""
    with of_file(path), path.open("rb") as file:
        os.fsync(file.fileno())
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return Seal(bytes=file.tell(), sha256=digest)


def seal_all(root: Path, paths: Iterable[Path]) -> dict[str, Seal]:
    """Return the seals of files below `root` by relative path."""
    paths = sorted(paths)
    with ThreadPoolExecutor(THREADS) as threads:
        return dict(zip((str(path.relative_to(root)) for path in paths), threads.map(sealed, paths), strict=True))


def size_fault(root: Path, seals: Mapping[str, Seal]) -> str:
    """Say which file below `root` is missing or has another size; "" if none. No file is read."""
    for name, seal in seals.items():
        if not (root / name).is_file():
            return f"{name} is missing"
        found = (root / name).stat().st_size
        if found != seal.bytes:
            return f"{name} has {found} bytes of {seal.bytes}"
    return ""


def digest_fault(root: Path, seals: Mapping[str, Seal]) -> str:
    """Say which file below `root` has another content than when it was sealed; "" if none."""
    with ThreadPoolExecutor(THREADS) as threads:
        faults = threads.map(lambda name: _content_fault(root / name, name, seals[name]), seals)
        return next(filter(None, faults), "")


def changed(root: Path, seals: Mapping[str, Seal]) -> list[str]:
    """Return the files below `root`, of those that are still there, that are not what was sealed."""
    there = {name: seal for name, seal in seals.items() if (root / name).is_file()}
    return [name for name, seal in there.items() if digest_fault(root, {name: seal})]


def _content_fault(path: Path, name: str, seal: Seal) -> str:
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        return f"{name} cannot be read ({error.strerror})"
    return "" if digest == seal.sha256 else f"{name} is not what was written: its digest differs"


def sync_folder(folder: Path) -> None:
    """Return once the names in the folder are safe on the disk, where the file system can tell."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with of_file(folder):
            os.fsync(opened)
    except OSError as error:
        # Some file systems of shares and object stores sync files only.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(opened)
