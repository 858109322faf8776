"""Ray's GCS is there as long as something listens at its address."""

import asyncio
import socket

import pytest

from actors.head import Head


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
