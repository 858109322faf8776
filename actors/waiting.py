"""Every wait on an actor: bounded, and ended by one sentence that says who failed and how."""

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayActorError, RayTaskError

from rl.faults import RunFailure


async def answer(reference: Awaitable[Any], who: str, timeout_s: float) -> Any:
    """What the actor answered; ValueErrors of user faults pass through as themselves."""
    try:
        return await asyncio.wait_for(_as_future(reference), timeout_s)
    except TimeoutError as error:
        raise RunFailure(
            f"{who} gave no answer in {timeout_s:g} s; see its log or raise cluster.call_timeout_s"
        ) from error
    except RayTaskError as error:
        raise _sentence(error, who) from error
    except RayActorError as error:
        raise RunFailure(f"{who} died ({str(error).strip().splitlines()[-1].strip()})") from error


async def answers(references: Sequence[Awaitable[Any]], who: str, timeout_s: float) -> list[Any]:
    """The answers of a group of actors; the first failure ends the wait for all of them."""
    named = [answer(reference, f"{who} {rank}", timeout_s) for rank, reference in enumerate(references)]
    return list(await asyncio.gather(*named))


async def _as_future(reference: Awaitable[Any]) -> Any:
    return await reference


def _sentence(error: RayTaskError, who: str) -> Exception:
    cause = error.cause
    if isinstance(cause, ValueError):
        return ValueError(str(cause))
    return RunFailure(f"{who} failed: {type(cause).__name__}: {cause}")


def placed(group: Any, need: str, timeout_s: float) -> Any:
    """The placement group, once Ray has reserved it."""
    ready, _ = ray.wait([group.ready()], timeout=timeout_s)
    if not ready:
        raise RunFailure(f"Ray found no room for {need} within {timeout_s:g} s; free the cluster or lower cluster.*")
    return group


def fetched(reference: ray.ObjectRef, what: str, timeout_s: float) -> Any:
    """The object behind a reference."""
    try:
        return ray.get(reference, timeout=timeout_s)
    except GetTimeoutError as error:
        raise RunFailure(f"{what} did not arrive within {timeout_s:g} s; see whether its node is alive") from error
