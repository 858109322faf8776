"""Where the seconds of a step went; the roles add to it, the tracker drains it, the loop never sees it."""

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
        """How many shared spans of a name are open, and since when there are any."""

    def add(self, name: str, seconds: float) -> None:
        self._seconds[name] += seconds

    @contextmanager
    def span(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.add(name, time.perf_counter() - start)

    @contextmanager
    def shared_span(self, name: str) -> Iterator[None]:
        """Spans of one name that overlap count once."""
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
        """The seconds of every name as `time/<name>`, `time/step` being all that passed; starts again from zero."""
        now = time.perf_counter()
        seconds = {f"time/{name}": value for name, value in self._seconds.items()}
        seconds["time/step"] = now - self._drained_at
        self._seconds.clear()
        self._drained_at = now
        return seconds
