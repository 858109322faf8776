"""A real Ray actor to which the connection breaks: it is asked again, and the work goes on."""

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import ray

from actors.peers import Peer, ask_one, ask_pure, while_alive
from actors.waiting import Limit, Unavailable
from actors.watched import PRESENCE, PULSE, Watched

pytestmark = pytest.mark.slow
LIMIT = Limit(seconds=50.0, key="cluster.call_timeout_s")


class Breaking(Watched):
    """An actor that breaks the connections of its driver in its first call."""

    def __init__(self, driver: int) -> None:
        self.driver = driver
        self.calls = 0

    def score(self) -> int:
        self.calls += 1
        if self.calls == 1:
            self._break_connections()
        return self.calls

    def _break_connections(self) -> None:
        theirs = {each.laddr.port for each in psutil.Process(self.driver).net_connections("tcp") if each.raddr}
        ours = psutil.Process().net_connections("tcp")
        listening = {each.laddr.port for each in ours if not each.raddr}
        for each in ours:
            if each.raddr and each.raddr.port in theirs and each.laddr.port in listening:
                with socket.socket(fileno=os.dup(each.fd)) as connection:
                    connection.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def peer() -> Iterator[Peer]:
    here = {"env_vars": {"PYTHONPATH": os.pathsep.join((str(Path(__file__).parent), str(Path(__file__).parents[2])))}}
    ray.init("local", num_cpus=1, include_dashboard=False, log_to_driver=False, runtime_env=here)
    actor = ray.remote(concurrency_groups={PULSE: 1, PRESENCE: 1})(Breaking)
    handle = actor.options(num_cpus=0.1).remote(os.getpid())
    ray.get(handle.present.remote(), timeout=60)
    yield Peer(name="reward worker 0", handle=handle, place="some node")
    ray.shutdown()


def test_a_pure_call_is_repeated_and_the_watch_goes_on(peer: Peer):
    async def scored() -> int:
        # The watch is to be under way when the connection breaks.
        await asyncio.sleep(0.5)
        return await ask_pure(peer, lambda: ask_one(peer, lambda handle: handle.score.remote(), LIMIT))

    async def act() -> int:
        return await while_alive(scored(), [peer])

    assert asyncio.run(act()) == 2


def test_another_call_ends_with_its_connection(peer: Peer):
    with pytest.raises(Unavailable, match=r"^reward worker 0 \(some node\) died: the connection to it broke"):
        asyncio.run(ask_one(peer, lambda handle: handle.score.remote(), LIMIT))
