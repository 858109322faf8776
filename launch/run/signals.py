"""The signals that end a run in good order."""

import signal

SIGNALS = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}
"""Each with what it is called in sentences."""


def exit_code(name: str) -> int:
    """Of a run that the signal of this name stopped, as shells count it.

    >>> exit_code("Ctrl-C")
    130
    """
    return 128 + next(number for number, called in SIGNALS.items() if called == name)
