"""The room on the disk of a run folder."""

import shutil
from pathlib import Path

from rl.faults import RunFailure

RESERVE_BYTES = 16 * 2**20
"""Room for what a run writes beside its checkpoints until the next one, and at its end: rows, answers, the report."""


def check_room(folder: Path, num_bytes: int) -> None:
    """Raise a RunFailure if the disk has no room for a checkpoint of this size and the reserve."""
    free = shutil.disk_usage(folder).free
    needed = num_bytes + RESERVE_BYTES
    if free < needed:
        raise RunFailure(
            f"output={folder}: its disk has {free:,} bytes free, and a checkpoint with what a run writes beside it "
            f"needs {needed:,}; make room there, or lower checkpoint.keep_last"
        )
