"""Epochs of a run folder: each process that trains in it claims a number, and the newest one alone may commit there.

A process that died may leave learners behind that are still writing a checkpoint, and a lock on a shared disk may not
hold between machines.
"""

import json
import os
import socket
import time
from pathlib import Path

from rl.faults import RunFailure, of_file

EPOCHS = "epochs"
"""Folder of a run with a file for each process that trained in it."""


def claim_epoch(run: Path) -> int:
    """Take the run folder over from all earlier processes; return the number of this one, counted from 1."""
    (run / EPOCHS).mkdir(exist_ok=True)
    who = {"host": socket.gethostname(), "pid": os.getpid(), "started": time.strftime("%Y-%m-%d %H:%M:%S")}
    number = newest_epoch(run) + 1
    while True:
        try:
            claim = run / EPOCHS / str(number)
            with of_file(claim), claim.open("x", encoding="utf-8") as file:
                json.dump(who, file)
            return number
        except FileExistsError:
            # Another process was faster by a moment; the last one has the folder.
            number += 1


def newest_epoch(run: Path) -> int:
    """Return the number of the process that claimed the folder last; 0 if none has."""
    return max((int(path.name) for path in (run / EPOCHS).glob("*") if path.name.isdecimal()), default=0)


def check_epoch(run: Path, epoch: int) -> None:
    """Raise a RunFailure if a newer process than that of `epoch` has claimed the run folder."""
    newest = newest_epoch(run)
    if newest > epoch:
        raise RunFailure(
            f"{run}: another process has gone on with this run since ({EPOCHS}/{newest} says which); this one, "
            f"{EPOCHS}/{epoch}, writes no more checkpoints there"
        )
