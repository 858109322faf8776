"""The place of a run's folder, which somebody may move or replace while the run writes to it."""

import os
from pathlib import Path

from launch.run.folder import METRICS
from rl.faults import RunFailure

DELETED = " (deleted)"
"""End of the path that Linux gives for a folder that was removed."""


class Place:
    """The folder of a run, held open so that no other one can have its device and inode."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        self._found = os.fstat(self._descriptor)

    def close(self) -> None:
        """Let go of the folder, at the end of the run."""
        os.close(self._descriptor)

    @property
    def is_lost(self) -> bool:
        """True if the path leads to another folder than at the start, or to none."""
        try:
            return not os.path.samestat(os.stat(self.folder), self._found)
        except (FileNotFoundError, NotADirectoryError):
            return True
        except OSError:
            # A network disk that fails for a moment; if it fails for longer, the next write says so.
            return False

    def check(self) -> None:
        """Raise a RunFailure if the folder is lost."""
        if self.is_lost:
            raise RunFailure(self.loss)

    @property
    def loss(self) -> str:
        """The sentence on a lost folder: where it is now."""
        what = f"output={self.folder}, in which the run began,"
        try:
            found = os.readlink(f"/proc/self/fd/{self._descriptor}")
        except OSError:
            # Linux alone tells.
            return f"{what} was moved away while the run wrote to it; look for the folder that has its {METRICS}"
        if found.endswith(DELETED):
            return f"{what} was removed while the run wrote to it; the same command starts anew"
        return f"{what} was moved to {found}; the same command with resume=auto output={found} goes on there"
