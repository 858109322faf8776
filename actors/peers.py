"""Started actors by the names and places that a run's sentences give them."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from ray.actor import ActorHandle
from ray.exceptions import ActorUnavailableError, RayError

from actors.waiting import Limit, Unavailable, answer, answers, death, together
from rl.brake import dropped
from rl.faults import RunFailure

SUSPECT_S = 30.0
"""Longest absence of a peer whose connection broke: by then Ray, whose GCS misses a dead node after 5 probes 3 s apart
and 10 s for an answer, says whether it is dead."""
ASK_AGAIN_S = 0.2
MOST_TRIES = 3
"""Number of times that a call is made whose connection breaks each time."""
GRACE_S = 2.0
"""Time in which the death of a peer may still explain the failure of another."""
T = TypeVar("T")
Result = TypeVar("Result")
Begin = Callable[[ActorHandle, int], Awaitable[None]]
"""Call that starts an actor; takes its handle and its index among those of its kind."""


class Mortal(Protocol):
    """An actor, or whatever else a run cannot do without."""

    async def gone(self) -> None:
        """Raise a RunFailure as soon as it is gone."""


@dataclass(frozen=True, kw_only=True)
class Peer:
    """A started actor."""

    name: str
    """E.g. "learner 1"."""
    handle: ActorHandle
    place: str
    """Node, process and log file."""

    def __str__(self) -> str:
        return f"{self.name} ({self.place})"

    async def gone(self) -> None:
        """Raise a RunFailure as soon as the actor is gone; a broken connection alone is not its end."""
        while True:
            try:
                await self.handle.pulse.remote()
            except ActorUnavailableError as error:
                await self.back(RunFailure(f"{self} {death(error)}"))
            except RayError as error:
                raise RunFailure(f"{self} {death(error)}") from error

    async def back(self, lost: RunFailure) -> None:
        """Return once the actor answers again after its connection broke; if it does not in SUSPECT_S, raise `lost`."""
        try:
            async with asyncio.timeout(SUSPECT_S):
                is_present = False
                while not is_present:
                    await asyncio.sleep(ASK_AGAIN_S)
                    is_present = await self._is_present()
        except TimeoutError:
            raise lost from None

    async def _is_present(self) -> bool:
        try:
            await self.handle.present.remote()
        except ActorUnavailableError:
            return False
        except RayError as error:
            raise RunFailure(f"{self} {death(error)}") from error
        return True


async def peers(kind: str, handles: Sequence[ActorHandle], limit: Limit) -> list[Peer]:
    """Return the actors as peers, once their processes run."""
    names = [f"{kind} {index}" for index in range(len(handles))]
    places = await answers([handle.where.remote() for handle in handles], names, limit)
    return [
        Peer(name=name, handle=handle, place=place) for name, handle, place in zip(names, handles, places, strict=True)
    ]


class Startup:
    """The start of a run's actors; `say` is told which are ready, and after how long."""

    def __init__(self, limit: Limit, say: Callable[[str], None]) -> None:
        self._limit = limit
        self._say = say
        self._since = time.perf_counter()

    async def started(self, kind: str, handles: Sequence[ActorHandle], begin: Begin) -> list[Peer]:
        """Name the actors of a kind, let each begin, and wait for the last one."""
        found = await peers(kind, handles, self._limit)
        await ask_each(found, range(len(found)), begin, self._limit)
        if found:
            self._say(f"{counted(len(found), kind)} ready after {time.perf_counter() - self._since:.0f} s")
        return found


def counted(count: int, noun: str) -> str:
    """Return the count with the noun, in the plural unless it is one.

    >>> counted(2, "learner")
    '2 learners'
    """
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


async def ask(who: Sequence[Peer], call: Callable[[ActorHandle], Awaitable[Any]], limit: Limit) -> list[Any]:
    """Return each peer's answer to the same call."""
    return await answers([call(peer.handle) for peer in who], map(str, who), limit)


async def ask_each(
    who: Sequence[Peer], shares: Sequence[T], call: Callable[[ActorHandle, T], Awaitable[Any]], limit: Limit
) -> list[Any]:
    """Return each peer's answer about its own share."""
    calls = [call(peer.handle, share) for peer, share in zip(who, shares, strict=True)]
    return await answers(calls, map(str, who), limit)


async def ask_one(peer: Peer, call: Callable[[ActorHandle], Awaitable[Any]], limit: Limit) -> Any:
    return await answer(call(peer.handle), str(peer), limit)


async def ask_pure(peer: Peer, call: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Return the peer's answer to a call that changes nothing in it; repeat the call if its connection breaks."""
    for _ in range(MOST_TRIES - 1):
        try:
            return await call()
        except Unavailable as lost:
            await peer.back(lost)
    return await call()


async def spread(
    who: Sequence[Peer], items: Sequence[T], call: Callable[[ActorHandle, list[T], int], Awaitable[Any]], limit: Limit
) -> list[Any]:
    """Return the answer about each item; item i goes to peer i mod n, whose number is given to `call`."""
    shares = [list(items[number :: len(who)]) for number in range(len(who))]
    asked = [(peer, call(peer.handle, shares[number], number)) for number, peer in enumerate(who) if shares[number]]
    found = await answers([reference for _, reference in asked], [str(peer) for peer, _ in asked], limit)
    return [found[index % len(who)][index // len(who)] for index in range(len(items))]


async def watch(who: Sequence[Mortal]) -> None:
    """Raise a RunFailure as soon as one of these is gone, whatever the others are doing."""
    await together(each.gone() for each in who)


async def while_alive(work: Awaitable[Result], who: Sequence[Mortal]) -> Result:
    """Return the result of the work; drop it and raise a RunFailure as soon as one of these is gone."""
    working, watching = asyncio.ensure_future(work), asyncio.ensure_future(watch(who))
    try:
        await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
        if working.done() and not working.cancelled() and isinstance(working.exception(), RunFailure):
            # A rank may fail because another one died, of which Ray tells a moment later.
            await asyncio.wait({watching}, timeout=GRACE_S)
        if watching.done():
            watching.result()
        return working.result()
    finally:
        await dropped([working, watching])
