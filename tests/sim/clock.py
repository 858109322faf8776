"""Virtual time: an event loop that never waits, and that runs what is ready in an order drawn by a seed. No threads."""

import asyncio
import heapq
import random
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any
from unittest.mock import patch

import rl.seals

MOST_TURNS = 200_000
"""Callbacks of a life after which it counts as one that makes no progress."""
_real_perf_counter = time.perf_counter


class Died(BaseException):
    """The death of the process: nothing that comes after it happens."""


class Stuck(Exception):
    """A life in which nothing can happen any more, or that does not come to an end."""


class Clock(asyncio.BaseEventLoop):
    """The event loop of one life; time jumps to the next timer when nothing is ready."""

    running: "Clock | None" = None
    """The clock that time.perf_counter shows."""

    def __init__(self, order: random.Random | None) -> None:
        """Draw with `order` which ready callback runs next; without it, the first."""
        super().__init__()
        self.now = 0.0
        self.turns = 0
        self.left: list[str] = []
        """Tasks that were pending when the life ended."""
        self.is_dead: Callable[[], bool] = bool
        """Asked after each callback: a death within one is no exception that somebody may catch."""
        self._order = order
        self._acts: dict[int, Callable[[], None]] = {}
        self._handlers: dict[int, Callable[[], None]] = {}
        # Tasks of a dead life complain that nobody asked for them.
        self.set_exception_handler(lambda loop, context: None)

    def time(self) -> float:
        return self.now

    def at_turn(self, turn: int, act: Callable[[], None]) -> None:
        """Call `act` before the callback of this number."""
        self._acts[turn] = act

    def add_signal_handler(self, sig: int, callback: Callable[..., Any], *args: Any) -> None:
        self._handlers[sig] = partial(callback, *args)

    def send(self, sig: int) -> None:
        """Send the process a signal; without a handler it dies."""
        if sig not in self._handlers:
            raise Died
        self._handlers[sig]()

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Let time.perf_counter show the virtual time, and let threads work at once."""
        Clock.running = self
        try:
            with (
                patch.object(time, "perf_counter", _perf_counter),
                patch.object(rl.seals, "ThreadPoolExecutor", NoThreads),
            ):
                yield
        finally:
            Clock.running = None

    def run(self, main: Coroutine[Any, Any, Any]) -> None:
        """Run to the end of `main`; note the tasks that it leaves, and drop them without a further step."""
        work = self.create_task(main)
        try:
            self.run_until_complete(work)
        finally:
            self._bury([task for task in asyncio.all_tasks(self) if not task.done()])

    def _run_once(self) -> None:
        self.turns += 1
        if self.turns > MOST_TURNS:
            raise Stuck(f"no end after {MOST_TURNS} callbacks")
        if self.turns in self._acts:
            self._acts[self.turns]()
        if not self._ready:
            self._jump()
        if self._order and len(self._ready) > 1:
            index = self._order.randrange(len(self._ready))
            handle = self._ready[index]
            del self._ready[index]
        else:
            handle = self._ready.popleft()
        if not handle._cancelled:
            handle._run()
        if self.is_dead():
            raise Died

    def _jump(self) -> None:
        """Go to the time of the next timer."""
        while self._scheduled and self._scheduled[0]._cancelled:
            heapq.heappop(self._scheduled)._scheduled = False
        if not self._scheduled:
            raise Stuck("nothing is ready and no timer is set")
        self.now = max(self.now, self._scheduled[0]._when)
        while self._scheduled and self._scheduled[0]._when <= self.now:
            timer = heapq.heappop(self._scheduled)
            timer._scheduled = False
            if not timer._cancelled:
                self._ready.append(timer)

    def _bury(self, tasks: list[asyncio.Task[Any]]) -> None:
        self.left = sorted(task.get_coro().__qualname__ for task in tasks)
        for task in tasks:
            task._log_destroy_pending = False
            with suppress(BaseException):
                task.get_coro().close()
        self.close()

    def _write_to_self(self) -> None:
        """Wake nobody: there is no other thread."""


class NoThreads:
    """A pool of threads that does all work at once, in order, in the thread that asks for it."""

    def __init__(self, count: int) -> None:
        assert count

    def __enter__(self) -> "NoThreads":
        return self

    def __exit__(self, *error: object) -> None:
        """Wait for no thread."""

    def map(self, function: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
        return [function(item) for item in items]


def _perf_counter() -> float:
    # A module that is imported during a life may keep this function for ever.
    return Clock.running.now if Clock.running else _real_perf_counter()
