"""Waits on actors: each is bounded, and a failure is one sentence that says who failed and how."""

import asyncio
from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import ActorUnavailableError, GetTimeoutError, RayActorError, RayError, RayTaskError

from rl.brake import dropped
from rl.faults import ActorBug, AssayError, RunFailure, UserError, is_bug, named, one_line

PEER_LOST = ("Connection closed by peer", "Connection reset by peer", "ncclRemoteError")
"""Words of a rank's error when another rank is gone."""
OUT_OF_MEMORY = ("low on memory", "out of memory", "OutOfMemory")


@dataclass(frozen=True, kw_only=True)
class Limit:
    """The longest time that a call may take, and the config key that sets it."""

    seconds: float
    key: str


class Unavailable(RunFailure):
    """A call whose outcome nobody knows: the connection broke, which Ray calls temporary."""


async def answer(reference: Awaitable[Any], who: str, limit: Limit) -> Any:
    """Wait for an actor's answer; raise its UserErrors as they are, and a RunFailure that names it for all else."""
    try:
        # Python 3.11's wait_for swallows a cancellation that comes together with the answer.
        async with asyncio.timeout(limit.seconds):
            return await reference
    except RayTaskError as error:
        raise _told(error, who) from error
    except TimeoutError as error:
        raise RunFailure(f"{who} gave no answer in {limit.seconds:g} s; see its log or raise {limit.key}") from error
    except ActorUnavailableError as error:
        raise Unavailable(f"{who} {death(error)}") from error
    except RayError as error:
        raise RunFailure(f"{who} {death(error)}") from error


async def answers(references: Sequence[Awaitable[Any]], names: Iterable[str], limit: Limit) -> list[Any]:
    """Wait for the answers of several actors; the first failure ends the wait for all of them."""
    return await together(answer(*named, limit) for named in zip(references, names, strict=True))


async def together(works: Iterable[Awaitable[Any]]) -> list[Any]:
    """Wait for the results of all; when one fails, drop the others."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        await dropped(tasks)


def _told(error: RayTaskError, who: str) -> AssayError:
    """Return the error to raise for an exception in an actor."""
    cause = error.cause
    if isinstance(cause, UserError):
        return UserError(str(cause))
    sentence = f"{who} failed: {named(cause)}"
    of_machine = _says_out_of_memory(sentence) or any(sign in sentence for sign in PEER_LOST)
    return ActorBug(sentence) if is_bug(cause) and not of_machine else RunFailure(sentence)


def _says_out_of_memory(text: str) -> bool:
    return any(sign in text for sign in OUT_OF_MEMORY)


def death(error: RayError) -> str:
    """Say how an actor died, in Ray's words without their boilerplate."""
    text = one_line(error)
    if _says_out_of_memory(text):
        return "was killed because its machine ran out of memory; lower cluster.micro_batch_tokens or use more machines"
    if isinstance(error, ActorUnavailableError):
        return "died: the connection to it broke, its process or its node is gone"
    if not isinstance(error, RayActorError):
        return f"was lost: {type(error).__name__}: {text[:200]}"
    detail = text.partition("Worker exit detail: ")[2] or text
    return f"died: {detail.partition('. There are')[0].rstrip('.')[:200]}"


def fetched(reference: ray.ObjectRef, what: str, timeout_s: float) -> Any:
    """Get the object behind a reference; `what` names it in sentences."""
    try:
        return ray.get(reference, timeout=timeout_s)
    except GetTimeoutError as error:
        raise RunFailure(f"{what} did not arrive within {timeout_s:g} s; see whether its node is alive") from error
    except RayError as error:
        raise RunFailure(f"{what} could not be had: {type(error).__name__}: {one_line(error)[:200]}") from error
