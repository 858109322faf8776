"""Stops a run from outside where no weight is half changed."""

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

T = TypeVar("T")


class Stopped(Exception):
    """The brake was pulled; the message says by what."""


class Brake:
    """Pulled by a signal; the loop names the work that may be dropped for it."""

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
        """Raises Stopped once the brake is pulled."""
        if self.is_pulled:
            raise Stopped(self.reason)

    async def unless_pulled(self, work: Coroutine[Any, Any, T]) -> T:
        """What the work gives; once the brake is pulled the work is dropped and Stopped is raised."""
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
    """Cancels what is not done and takes note of what failed, which nobody will ask for any more."""
    tasks = list(tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
