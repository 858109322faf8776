"""Ray's GCS is there as long as something listens at its address."""

import asyncio
import socket

import pytest

from actors.head import Head
from rl.faults import RunFailure


def listens(address: str) -> bool:
    return asyncio.run(Head(address=address).listens())


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def test_a_head_that_listens_is_there_even_if_it_never_answers(listener: socket.socket):
    # Nothing ever accepts the connection, as in a process that hangs.
    assert listens(f"127.0.0.1:{listener.getsockname()[1]}")


def test_a_head_that_was_killed_is_not(listener: socket.socket):
    port = listener.getsockname()[1]
    listener.close()
    assert not listens(f"127.0.0.1:{port}")


def test_a_run_behind_a_ray_client_does_not_see_the_head():
    async def wait() -> None:
        async with asyncio.timeout(0.05):
            await Head(address="").gone()

    with pytest.raises(TimeoutError):
        asyncio.run(wait())


def test_a_head_that_answers_again_in_time_is_no_loss_and_one_that_does_not_is_told_at_once(
    listener: socket.socket, capsys: pytest.CaptureFixture[str]
):
    port, interval = listener.getsockname()[1], 0.1

    async def lose_twice() -> float:
        watching = asyncio.create_task(Head(address=f"127.0.0.1:{port}", probe_s=interval).gone())
        listener.close()
        # Three misses.
        await asyncio.sleep(3.5 * interval)
        with socket.create_server(("127.0.0.1", port)):
            await asyncio.sleep(interval)
        assert not watching.done()
        since = asyncio.get_running_loop().time()
        with pytest.raises(RunFailure) as raised:
            await watching
        assert str(raised.value).startswith(f"Ray's GCS at 127.0.0.1:{port} is gone, without which no actor lives on")
        assert capsys.readouterr().err == f"{raised.value}\n"
        return asyncio.get_running_loop().time() - since

    # Four misses in a row: the three before the answer do not count.
    assert asyncio.run(lose_twice()) > 3 * interval
