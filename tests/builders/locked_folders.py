"""The place of a run folder without a run that locks it."""

from pathlib import Path

from launch.run.folder import LOCK
from launch.run.place import Place


def place(folder: Path) -> Place:
    (folder / LOCK).touch()
    return Place(folder)
