"""What reward functions of the user's print: every line in a file, as many in the terminal as can be read."""

import time
from collections.abc import Callable

from launch.run.place import Place
from rl.faults import of_file

PRINTED = "rewards.log"
MOST_LINES = 20
"""Lines that the terminal shows in PERIOD_S seconds."""
PERIOD_S = 10.0
MOST_CHARACTERS = 500
"""Characters of a line that the terminal shows."""


class PrintedLines:
    """Writes the lines to rewards.log of a run folder and says them, up to MOST_LINES in PERIOD_S."""

    def __init__(self, place: Place, say: Callable[[str], None]) -> None:
        self._place, self._path = place, place.folder / PRINTED
        self._say = say
        self._since = -PERIOD_S
        self._count = 0

    def hear(self, line: str) -> None:
        self._place.check()
        with of_file(self._path), self._path.open("a", encoding="utf-8", errors="replace") as file:
            file.write(f"{line}\n")
        now = time.monotonic()
        if now - self._since >= PERIOD_S:
            self._since, self._count = now, 0
        self._count += 1
        if self._count <= MOST_LINES:
            self._say(line if len(line) <= MOST_CHARACTERS else f"{line[:MOST_CHARACTERS]}…")
        elif self._count == MOST_LINES + 1:
            self._say(f"more of what reward functions print is in {self._path}")
