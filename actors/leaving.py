"""The thread in which Ray shuts down, which hangs if Ray's GCS does; imports no Ray, so that any command can ask."""

import threading

LEAVING = "leave Ray"
"""Name of the thread."""


def is_leaving() -> bool:
    """Return True if Ray has not shut down yet: a process that waited for it could wait for ever."""
    return any(thread.name == LEAVING for thread in threading.enumerate())
