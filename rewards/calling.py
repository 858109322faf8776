"""The program of the process in which the user's reward functions run.

It is run as a file and imports the standard library alone, so that it starts at once and holds nothing but what the
functions import. Requests and answers are lines of JSON, in which a float keeps every bit and nothing can be run:

    {"load": "shininess", "path": "my_rewards.shininess", "signature": "trl"}  ->  {}
    {"call": "shininess", "arguments": [{"prompts": […], …}]}                  ->  {"values": [0.5, null]}

An exception is answered by what `_told` returns. SystemExit is not caught: it ends this process as os._exit does.
"""

import io
import json
import os
import resource
import select
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

Judge = Callable[[Sequence[dict[str, Any]]], list[float | None]]
"""Function that takes the keyword arguments of each call and returns a value for each answer."""
MOST_CHARACTERS = 2_000
"""Characters of an exception's message that are told."""


class WrongResult(Exception):
    """A result of a function that is no judgement; the message says what it must be."""


def main(channel: socket.socket) -> None:
    """Serve the process at the other end of the channel until it closes that."""
    _die_with(channel)
    for stream in (sys.stdout, sys.stderr):
        assert isinstance(stream, io.TextIOWrapper)
        stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    requests = channel.makefile("rb")
    setup = json.loads(requests.readline())
    sys.path[:] = setup["sys_path"]
    _limit_memory(setup["memory_mb"] * 2**20)
    judges: dict[str, Judge] = {}
    process = os.getpid()
    for line in requests:
        answer = _answer(json.loads(line), judges)
        if os.getpid() != process:
            # A function forked, and the copy returned too: it must not answer a second time.
            os._exit(0)
        channel.sendall(json.dumps(answer).encode() + b"\n")


def _die_with(channel: socket.socket) -> None:
    """Leave a process behind that kills this process group once the other end of the channel is closed.

    The kernel closes it when the process there ends, even by SIGKILL. A function that holds the GIL would keep a thread
    from noticing. Linux's PR_SET_PDEATHSIG would come with the end of the thread that started this process, which may
    end early, and would spare the children of functions.
    """
    if os.fork():
        os.wait()
        return
    if os.fork():
        # The watch is no child of this process, so that a function's os.wait() does not wait for it.
        os._exit(0)
    poller = select.poll()
    # A closed end is reported without being asked for; requests are not.
    poller.register(channel, 0)
    poller.poll()
    os.killpg(0, signal.SIGKILL)


def _limit_memory(limit: int) -> None:
    """Let allocations fail beyond the limit in bytes.

    RLIMIT_DATA counts memory that this process alone may write, which is close to what it uses: 230 MB with torch
    imported, of which 229 are resident. RLIMIT_AS also counts mapped files and reserved addresses: 714 MB. A watch of
    the resident memory would come too late for a fast loop, and could tell no line of the function.
    """
    _, highest = resource.getrlimit(resource.RLIMIT_DATA)
    limit = limit if highest == resource.RLIM_INFINITY else min(limit, highest)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, highest))


def _answer(request: Mapping[str, Any], judges: dict[str, Judge]) -> dict[str, Any]:
    try:
        if "load" in request:
            judges[request["load"]] = _loaded(request["path"], request["signature"])
            return {}
        return {"values": judges[request["call"]](request["arguments"])}
    except Exception as error:  # noqa: BLE001 - whatever the user's code raises is told to the other side
        return _told(error)


def _told(error: Exception) -> dict[str, Any]:
    """Return an exception as JSON; `raised` is "" if its message says itself what is wrong."""
    if isinstance(error, MemoryError):
        # What the function holds is freed with this process; until then there must be room for the answer.
        _, highest = resource.getrlimit(resource.RLIMIT_DATA)
        resource.setrlimit(resource.RLIMIT_DATA, (highest, highest))
    message = str(error)[:MOST_CHARACTERS]
    is_plain = {"WrongResult", "AssayError"} & {base.__name__ for base in type(error).__mro__}
    return {
        "raised": "" if is_plain else type(error).__name__,
        "message": message,
        "place": place_of(error),
        # Torch, and the system in an OSError, say so in words.
        "lacks_memory": isinstance(error, MemoryError) or "allocate memory" in message,
    }


def place_of(error: Exception) -> str:
    """Return the file and line of the user's code that raised an error, " (my_rewards.py:7)"; "" if none did."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [index for index, frame in enumerate(frames) if frame.filename == __file__]
    below = [frame for frame in frames[ours[-1] + 1 :] if "importlib" not in frame.filename] if ours else []
    own = [frame for frame in below if "site-packages" not in frame.filename] or below
    return next((f" ({frame.filename}:{frame.lineno})" for frame in reversed(own)), "")


def _loaded(path: str, signature: str) -> Judge:
    """Import the user's function and return it as one that judges a batch of answers."""
    module, _, name = path.rpartition(".")
    function = getattr(import_module(module), name)
    return (_as_trl_calls if signature == "trl" else _as_verl_calls)(function, path)


def _as_trl_calls(function: Callable[..., Any], path: str) -> Judge:
    def judge(arguments: Sequence[dict[str, Any]]) -> list[float | None]:
        (columns,) = arguments
        # Counted first, since the function may change the list.
        count = len(columns["completions"])
        found = function(**columns)
        try:
            values = list(found)
        except TypeError as error:
            raise WrongResult(
                f"{path} gave {found!r:.60}; it must give a list with a value for each completion"
            ) from error
        if len(values) != count:
            raise WrongResult(f"{path} gave {len(values)} values for {count} completions")
        return [_number(value, path) for value in values]

    return judge


def _as_verl_calls(function: Callable[..., Any], path: str) -> Judge:
    return lambda arguments: [_score_of(function(**one), path) for one in arguments]


def _score_of(value: Any, path: str) -> float | None:
    """Return the score from the result of a verl function, which may be a dict with more than the score."""
    if not isinstance(value, dict):
        return _number(value, path)
    if "score" not in value:
        raise WrongResult(f"{path} gave a dict without 'score'; it must give a number, None or a dict with one")
    return _number(value["score"], path)


def _number(value: Any, path: str) -> float | None:
    try:
        return None if value is None else float(value)
    except (TypeError, ValueError) as error:
        raise WrongResult(f"{path} gave {value!r:.60}; it must give a number or None for each completion") from error


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])))
