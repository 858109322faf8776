"""The brake: it stops a run from outside, at a point where no weight is half changed."""

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

T = TypeVar("T")


class Stopped(Exception):
    """Raised once the brake is pulled; the message is the reason."""


class Brake:
    """A switch that a signal pulls; the loop names the work that may be dropped then."""

    def __init__(self) -> None:
        self._pulled = asyncio.Event()
        self.reason = ""

    def pull(self, reason: str) -> None:
        self.reason = reason
        self._pulled.set()

    @property
    def is_pulled(self) -> bool:
        return self._pulled.is_set()

    def check(self) -> None:
        """Raise Stopped if the brake is pulled."""
        if self.is_pulled:
            raise Stopped(self.reason)

    async def unless_pulled(self, work: Coroutine[Any, Any, T]) -> T:
        """Return the result of `work`; if the brake is pulled first, drop the work and raise Stopped."""
        if self._pulled.is_set():
            work.close()
            raise Stopped(self.reason)
        task, pulled = asyncio.ensure_future(work), asyncio.ensure_future(self._pulled.wait())
        try:
            await asyncio.wait({task, pulled}, return_when=asyncio.FIRST_COMPLETED)
            if self._pulled.is_set():
                raise Stopped(self.reason)
            return task.result()
        finally:
            await dropped([task, pulled])


async def dropped(tasks: Iterable[asyncio.Future[Any]]) -> None:
    """Cancel the unfinished tasks and retrieve the errors of the failed ones, so that asyncio does not log them."""
    tasks = list(tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
