"""The place of a run's folder, which somebody may move or replace while the run writes to it."""

import os
from pathlib import Path

from launch.run.folder import LOCK, METRICS
from rl.faults import RunFailure

OPEN_FILES = Path("/proc/self/fd")
"""Folder of links to the files that this process holds open, each to where its file is now; Linux alone has it."""
DELETED = " (deleted)"
"""End of such a link to a file that is in no folder any more."""


class Place:
    """The folder of a run, known by the lock that the run holds in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = _identity(folder / LOCK)

    @property
    def is_lost(self) -> bool:
        """True if the path leads to another folder than at the start, or to none."""
        try:
            return _identity(self.folder / LOCK) != self._lock
        except OSError:
            return True

    def check(self) -> None:
        """Raise a RunFailure if the folder is lost."""
        if self.is_lost:
            raise RunFailure(self.loss)

    @property
    def loss(self) -> str:
        """The sentence on a lost folder: where it is now."""
        what = f"output={self.folder}, in which the run began,"
        link = self._link()
        if link.endswith(DELETED):
            return f"{what} was removed while the run wrote to it; the same command starts anew"
        if not link:
            return f"{what} was moved away while the run wrote to it; look for the folder that has its {METRICS}"
        found = Path(link).parent
        return f"{what} was moved to {found}; the same command with resume=auto output={found} goes on there"

    def _link(self) -> str:
        """Return the path that the held lock has now; "" where the system does not tell."""
        return next((os.readlink(link) for link in OPEN_FILES.glob("*") if self._is_lock(link)), "")

    def _is_lock(self, link: Path) -> bool:
        try:
            return _identity(link) == self._lock
        except OSError:
            # Closed meanwhile, as that of the listing.
            return False


def _identity(path: Path) -> tuple[int, int]:
    """Return what no other file has while this one exists or is open: its device and inode."""
    found = path.stat()
    return found.st_dev, found.st_ino
