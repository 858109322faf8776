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
BROKEN: list[int] = []
"""Number of connections that broke; a list, since the answer of the call that breaks them does not arrive."""


def talks(prompts: Sequence[str], completions: Sequence[str], **columns: Any) -> list[float]:
    call = next(CALLS)
    if call == BREAKS_IN_CALL:
        BROKEN.append(break_connections())
    elif call == BREAKS_IN_CALL + 1:
        print(f"{BROKEN} connections broke")
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
