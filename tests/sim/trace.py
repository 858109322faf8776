"""What happened in the lives of a seed: lines to read, the faults that befell it, and what it did wrong."""

from collections import Counter
from collections.abc import Callable


class Trace:
    """The record of a seed; `now` is the clock of its present life."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.wrongs: list[str] = []
        """Violated invariants, in words."""
        self.faults: Counter[str] = Counter()
        """Faults of all lives, by kind."""
        self.fired: list[tuple[str, str]] = []
        """(kind, words) of the faults of the present life; a sentence about the fault contains the words."""
        self.now: Callable[[], float] = float

    def begin_life(self, title: str, now: Callable[[], float]) -> None:
        self.now, self.fired = now, []
        self.lines.append(title)

    def note(self, text: str) -> None:
        self.lines.append(f"{self.now():9.1f}  {text}")

    def befall(self, kind: str, words: str, place: str = "") -> None:
        """Record that a fault happened."""
        self.faults[kind] += 1
        self.fired.append((kind, words))
        self.note(f"fault: {kind}{' at ' * bool(place)}{place}")

    def wrong(self, text: str) -> None:
        """Record that an invariant is violated."""
        self.wrongs.append(text)
        self.note(f"WRONG: {text}")

    def has_fired(self, *kinds: str) -> bool:
        return any(kind in kinds for kind, _ in self.fired)
