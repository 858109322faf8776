"""The seconds that each part of a step took; the roles add to them, the tracker drains them."""

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager


class Timings:
    """Seconds by name since the last drain."""

    def __init__(self) -> None:
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._drained_at = time.perf_counter()
        self._open: dict[str, tuple[int, float]] = {}
        """For each name with open shared spans, their number and the time since when any is open."""

    def add(self, name: str, seconds: float) -> None:
        self._seconds[name] += seconds

    @contextmanager
    def span(self, name: str) -> Iterator[None]:
        """Add the seconds spent inside the `with` block, unless it raises."""
        start = time.perf_counter()
        yield
        self.add(name, time.perf_counter() - start)

    @contextmanager
    def shared_span(self, name: str) -> Iterator[None]:
        """Add the seconds during which any span of this name is open; time that overlapping spans share counts once."""
        count, since = self._open.get(name, (0, time.perf_counter()))
        self._open[name] = (count + 1, since)
        try:
            yield
        finally:
            count, since = self._open.pop(name)
            if count > 1:
                self._open[name] = (count - 1, since)
            else:
                self.add(name, time.perf_counter() - since)

    def drain(self) -> dict[str, float]:
        """Return the seconds of each name as `time/<name>`, and all since the last drain as `time/step`; then reset."""
        now = time.perf_counter()
        seconds = {f"time/{name}": value for name, value in self._seconds.items()}
        seconds["time/step"] = now - self._drained_at
        self._seconds.clear()
        self._drained_at = now
        return seconds
