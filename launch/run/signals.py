"""The signals that end a run in good order."""

import asyncio
import signal
from typing import Any

from rl.brake import Brake

SIGNALS = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}
"""Names of the signals in sentences."""


def stop_on_signals(brake: Brake) -> None:
    """Let the first signal pull the brake, and the second one cancel the running task, which ends the run at once.

    Ray takes SIGTERM for itself when it is joined: call this later.
    """
    run = asyncio.current_task()
    assert run
    for number, name in SIGNALS.items():
        asyncio.get_running_loop().add_signal_handler(number, _stop, run, brake, name)


def _stop(run: asyncio.Task[Any], brake: Brake, name: str) -> None:
    if brake.is_pulled:
        run.cancel()
    brake.pull(name)


def exit_code(name: str) -> int:
    """Return the exit code of a run that the signal of this name stopped, as shells count it.

    >>> exit_code("Ctrl-C")
    130
    """
    return 128 + next(number for number, called in SIGNALS.items() if called == name)
