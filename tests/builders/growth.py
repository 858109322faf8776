"""How the cost of reading a text grows with its length, as a ratio within one run."""

import time
from collections.abc import Callable

TRIES = 5
LINEAR = 8.0
"""Greatest `growth` of what is linear: 4 and some noise; it is 16 of what is quadratic."""


def growth(read: Callable[[str], object], piece: str, length: int) -> float:
    """Return the CPU time of reading `length` characters of repeated pieces, as a multiple of that of a quarter."""
    return cpu_time(read, piece * (length // len(piece))) / cpu_time(read, piece * (length // 4 // len(piece)))


def cpu_time(read: Callable[[str], object], text: str) -> float:
    """Return the least CPU seconds of some tries, each with a text of its own, which no cache knows."""
    return min(_once(read, text + " " * number) for number in range(TRIES))


def _once(read: Callable[[str], object], text: str) -> float:
    start = time.process_time()
    read(text)
    return time.process_time() - start
