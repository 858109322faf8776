"""A rank that fails because another is gone: which of the two a run names, and how long it waits to know."""

import asyncio
import os
import time
from datetime import timedelta
from multiprocessing import get_context
from types import SimpleNamespace

import pytest
import torch
import torch.distributed as dist
from ray.exceptions import ActorDiedError, ActorUnavailableError, RayActorError, RayTaskError

from actors.peers import MOST_TRIES, Peer, ask_pure, while_alive
from actors.platform import open_store
from actors.waiting import PEER_LOST, Limit, answer
from rl.faults import RunFailure, UserError, is_bug

LIMIT = Limit(seconds=20.0, key="cluster.call_timeout_s")


def peer(dies_after_s: float) -> Peer:
    """Make a peer whose handle is a double: Ray tells of its death after that time."""

    async def pulse() -> None:
        await asyncio.sleep(dies_after_s)
        raise RayActorError

    handle = SimpleNamespace(pulse=SimpleNamespace(remote=pulse))
    return Peer(name="learner 1", handle=handle, place="some node")


async def failed(error: Exception) -> None:
    raise error


def raised_by(work: Exception, dies_after_s: float) -> tuple[Exception, float]:
    """Return the error of work that fails at once beside such a peer, and the seconds until it."""
    start = time.monotonic()
    with pytest.raises((RunFailure, UserError)) as caught:
        asyncio.run(while_alive(failed(work), [peer(dies_after_s)]))
    return caught.value, time.monotonic() - start


def test_a_death_that_ray_tells_of_within_two_seconds_explains_another_ranks_failure():
    error, seconds = raised_by(RunFailure("learner 0 failed: Connection closed by peer"), 1.0)
    assert str(error).startswith("learner 1 (some node) died")
    assert 1.0 <= seconds < 1.9


def test_a_failure_that_no_death_explains_is_raised_after_two_seconds():
    error, seconds = raised_by(RunFailure("learner 0 failed: the disk is full"), 60.0)
    assert str(error) == "learner 0 failed: the disk is full"
    assert 2.0 <= seconds < 4.0


def test_a_fault_of_the_user_waits_for_no_death():
    error, seconds = raised_by(UserError("photo.png: damaged"), 1.0)
    assert str(error) == "photo.png: damaged" and seconds < 0.9


def told(cause: Exception) -> Exception:
    """Return the error that a run raises for an exception in an actor."""
    error = RayTaskError("update", "its traceback", cause)
    with pytest.raises(RunFailure) as caught:
        asyncio.run(answer(failed(error), "learner 0", LIMIT))
    return caught.value


@pytest.mark.parametrize("words", PEER_LOST)
def test_a_rank_that_lost_another_has_no_bug(words: str):
    error = told(RuntimeError(f"[gloo/transport/tcp/pair.cc:553] {words}"))
    assert str(error).startswith("learner 0 failed: RuntimeError: ") and not is_bug(error)


def test_any_other_error_of_a_rank_is_a_bug():
    assert is_bug(told(RuntimeError("shape mismatch")))


def die_beside_another(rank: int, port: int, pipe) -> None:
    """Join a group of two ranks; rank 1 dies, rank 0 sends the error that this brings it."""
    store = dist.TCPStore("localhost", port, 2, is_master=False, timeout=timedelta(seconds=20))
    group = dist.ProcessGroupGloo(store, rank, 2, timedelta(seconds=20))
    group.allreduce([torch.zeros(1)]).wait()
    if rank == 1:
        os._exit(1)
    try:
        group.allreduce([torch.zeros(1)]).wait()
    except RuntimeError as error:
        pipe.send(str(error))
    os._exit(0)


def test_the_words_are_those_of_gloo():
    store, (ours, theirs) = open_store(), get_context("fork").Pipe()
    ranks = [get_context("fork").Process(target=die_beside_another, args=(rank, store.port, theirs)) for rank in (0, 1)]
    for rank in ranks:
        rank.start()
    try:
        assert ours.poll(20)
        error = told(RuntimeError(ours.recv()))
    finally:
        for rank in ranks:
            rank.kill()
            rank.join(10)
    assert not is_bug(error), error


BROKEN = ActorUnavailableError("the connection broke", None)


class Handle:
    """A double of a handle at the network's edge: each call meets the next error of its list, then answers or waits."""

    def __init__(self, **errors: list[Exception]) -> None:
        self.errors = errors
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> SimpleNamespace:
        async def call() -> str:
            self.calls.append(name)
            await asyncio.sleep(0)
            left = self.errors.get(name, [])
            if left:
                raise left.pop(0)
            if name == "pulse":
                await asyncio.Event().wait()
            return "yes"

        return SimpleNamespace(remote=call)


def named(handle: Handle) -> Peer:
    return Peer(name="reward worker 0", handle=handle, place="some node")


def asked(handle: Handle) -> str:
    who = named(handle)
    return asyncio.run(ask_pure(who, lambda: answer(handle.score.remote(), str(who), LIMIT)))


def test_a_pure_call_whose_connection_broke_is_made_again_once_the_actor_answers():
    handle = Handle(score=[BROKEN])
    assert asked(handle) == "yes"
    assert handle.calls == ["score", "present", "score"]


def test_a_pure_call_is_not_made_for_ever():
    handle = Handle(score=[BROKEN] * 9)
    with pytest.raises(RunFailure, match=r"^reward worker 0 \(some node\) died: the connection to it broke"):
        asked(handle)
    assert handle.calls.count("score") == MOST_TRIES


def test_an_actor_that_died_after_its_connection_broke_is_asked_no_more():
    handle = Handle(score=[BROKEN], present=[ActorDiedError()])
    with pytest.raises(RunFailure, match=r"^reward worker 0 \(some node\) died"):
        asked(handle)
    assert handle.calls == ["score", "present"]


def test_a_call_that_is_not_pure_ends_with_its_connection():
    handle = Handle(update=[BROKEN])
    with pytest.raises(RunFailure, match=r"^learner 0 died: the connection to it broke"):
        asyncio.run(answer(handle.update.remote(), "learner 0", LIMIT))
    assert handle.calls == ["update"]


def test_work_goes_on_after_a_broken_connection_to_an_actor_that_is_still_there():
    handle = Handle(pulse=[BROKEN])

    async def work() -> int:
        while handle.calls != ["pulse", "present", "pulse"]:
            await asyncio.sleep(0.01)
        return 7

    assert asyncio.run(while_alive(work(), [named(handle)])) == 7
