"""builders.talking_reward that once breaks the driver's connections to its actor, as a network does."""

import os
import socket
from collections.abc import Sequence
from itertools import count
from typing import Any

import psutil

from builders import talking_reward

BREAKS_IN_CALL = 6
CALLS = count(1)


def talks(prompts: Sequence[str], completions: Sequence[str], **columns: Any) -> list[float]:
    if next(CALLS) == BREAKS_IN_CALL:
        print(f"{break_connections()} connections broke")
    return talking_reward.talks(prompts, completions, **columns)


def break_connections() -> int:
    """Shut the connections down that the driver has made to this process; return their number."""
    # Ray's raylet starts the worker, and the driver started the raylet.
    driver = next(process for process in psutil.Process().parents() if "launch" in process.cmdline())
    theirs = {found.laddr.port for found in driver.net_connections("tcp") if found.raddr}
    listening = {found.laddr.port for found in psutil.Process().net_connections("tcp") if not found.raddr}
    broken = 0
    for found in psutil.Process().net_connections("tcp"):
        if found.raddr and found.raddr.port in theirs and found.laddr.port in listening:
            with socket.socket(fileno=os.dup(found.fd)) as connection:
                connection.shutdown(socket.SHUT_RDWR)
            broken += 1
    return broken
