"""The brake: work runs undisturbed until the brake is pulled, then it is dropped."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from rl.brake import Brake, Stopped, dropped


def leaving_nothing(act: Callable[[], Awaitable[None]]) -> None:
    """Run the act and assert that it leaves no task behind."""

    async def watched() -> None:
        await act()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(watched())


async def seven() -> int:
    await asyncio.sleep(0)
    return 7


class Endless:
    """Work that ends only when it is dropped."""

    def __init__(self) -> None:
        self.was_dropped = False

    async def work(self) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            self.was_dropped = True


def test_the_result_of_the_work_is_returned():
    async def act() -> None:
        assert await Brake().unless_pulled(seven()) == 7

    leaving_nothing(act)


def test_an_exception_of_the_work_is_raised():
    async def fail() -> None:
        await asyncio.sleep(0)
        raise ValueError("photo.png is damaged")

    async def act() -> None:
        with pytest.raises(ValueError, match="photo.png"):
            await Brake().unless_pulled(fail())

    leaving_nothing(act)


def test_a_pulled_brake_raises_its_reason_at_once():
    async def act() -> None:
        brake, endless = Brake(), Endless()
        brake.pull("Ctrl-C")
        with pytest.raises(Stopped, match="^Ctrl-C$"):
            await brake.unless_pulled(endless.work())
        # The brake stays pulled.
        with pytest.raises(Stopped, match="^Ctrl-C$"):
            await brake.unless_pulled(seven())

    leaving_nothing(act)


def test_a_brake_pulled_during_the_work_drops_it():
    async def act() -> None:
        brake, endless = Brake(), Endless()
        asyncio.get_running_loop().call_later(0.01, brake.pull, "SIGTERM")
        with pytest.raises(Stopped, match="^SIGTERM$"):
            await brake.unless_pulled(endless.work())
        assert endless.was_dropped

    leaving_nothing(act)


def test_the_reason_is_raised_even_if_the_dropped_work_fails():
    async def fail_when_dropped() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise RuntimeError("a connection was cut") from None

    async def act() -> None:
        brake = Brake()
        asyncio.get_running_loop().call_later(0.01, brake.pull, "Ctrl-C")
        with pytest.raises(Stopped, match="Ctrl-C"):
            await brake.unless_pulled(fail_when_dropped())

    leaving_nothing(act)


def test_cancelling_the_caller_cancels_the_work():
    async def act() -> None:
        endless = Endless()
        waiting = asyncio.create_task(Brake().unless_pulled(endless.work()))
        await asyncio.sleep(0.01)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert endless.was_dropped

    leaving_nothing(act)


def test_dropped_tasks_end_and_their_failures_are_not_logged(caplog):
    async def fail() -> None:
        raise ValueError("nobody asks for this")

    async def act() -> None:
        endless = Endless()
        tasks = [asyncio.create_task(work) for work in (endless.work(), fail(), seven())]
        await asyncio.sleep(0.01)
        await dropped(tasks)
        assert endless.was_dropped and all(task.done() for task in tasks)

    leaving_nothing(act)
    assert "never retrieved" not in caplog.text
