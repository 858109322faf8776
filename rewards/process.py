"""A process that answers requests one by one, and can be killed together with all that it started."""

import json
import math
import os
import select
import signal
import socket
import subprocess
import sys
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

Hear = Callable[[str], None]
"""Listener to printed lines."""
TICK_MS = 50
"""Longest time until the end of the process is noticed."""
CHUNK = 2**16
"""Bytes read at once; a pipe holds no more."""
MOST_PRINTED = 2**20
"""Bytes printed during a request that are told, so that what prints without end fills no memory of ours."""


class Ended(Exception):
    """The end of a process that owed an answer; the message says how it ended."""


class Process:
    """A running program that reads requests as lines of JSON and answers each with such a line.

    It is a fresh interpreter. A fork would copy the locks of threads, of which Ray and torch have many, but not the
    threads that hold them; multiprocessing's spawn would run the user's main script a second time. It leads a session
    of its own, so Ctrl-C in the terminal and signals to our process group do not reach it: it ends when we do.
    """

    def __init__(self, program: Path, setup: Mapping[str, Any], *, is_heard: bool) -> None:
        """Start the program; `setup` is its first line. If it is not heard, it prints where this process does."""
        self._channel, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                # -u: what it prints arrives before its answer. -P: nothing is imported from the program's folder.
                [sys.executable, "-u", "-P", str(program), str(theirs.fileno())],
                bufsize=0,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if is_heard else None,
                stderr=subprocess.STDOUT if is_heard else None,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        self._owner = os.getpid()
        self.kill = weakref.finalize(self, _kill, self._process, self._channel, self._owner)
        """Ends the process; called by itself when this object or this program goes."""
        self._poller = select.poll()
        self._poller.register(self._channel, select.POLLIN)
        if self._process.stdout:
            os.set_blocking(self._process.stdout.fileno(), False)
            self._poller.register(self._process.stdout, select.POLLIN)
        self._send(setup, None)

    @property
    def is_usable(self) -> bool:
        """False once it was killed, and in a fork of the process that started it, which needs one of its own."""
        return self.kill.alive and self._owner == os.getpid()

    def ask(self, request: Mapping[str, Any], hear: Hear, seconds: float | None = None) -> Any:
        """Return the answer; raise TimeoutError if it takes longer than `seconds`, Ended if the process ends first.

        `hear` is told each line printed meanwhile. After an exception the process is killed.
        """
        printed = _Lines(hear)
        try:
            return self._answer(request, printed, seconds)
        except BaseException:
            # After Ctrl-C too: a late answer would be taken for that to the next request.
            self.kill()
            raise
        finally:
            printed.close()

    def _answer(self, request: Mapping[str, Any], printed: "_Lines", seconds: float | None) -> Any:
        deadline = math.inf if seconds is None else time.monotonic() + seconds
        if self._process.poll() is not None:
            raise self._ended()
        with self._ending():
            self._send(request, seconds)
        answer = b""
        while not answer.endswith(b"\n"):
            answer += self._more(printed, deadline)
        # What was printed before the answer fits into the pipe.
        self._take_output(printed)
        return json.loads(answer)

    def _more(self, printed: "_Lines", deadline: float) -> bytes:
        """Return the next bytes of an answer; b"" if none came for a moment."""
        # Asked before the last look at what it said.
        is_over = self._process.poll() is not None
        ready = {number for number, _ in self._poller.poll(0 if is_over else TICK_MS)}
        self._take_output(printed)
        with self._ending():
            said = self._channel.recv(CHUNK) if self._channel.fileno() in ready else b""
        if is_over and not said:
            raise self._ended()
        if not said and time.monotonic() > deadline:
            raise TimeoutError
        return said

    def _send(self, message: Mapping[str, Any], seconds: float | None) -> None:
        self._channel.settimeout(seconds)
        self._channel.sendall(json.dumps(message).encode() + b"\n")

    def _take_output(self, printed: "_Lines") -> None:
        if self._process.stdout:
            printed.take(self._process.stdout.read(CHUNK) or b"")

    @contextmanager
    def _ending(self) -> Iterator[None]:
        """Take a channel that breaks in the block for the end of the process; listeners have pipes of their own."""
        try:
            yield
        except ConnectionError as error:
            raise self._ended() from error

    def _ended(self) -> Ended:
        self.kill()
        code = self._process.returncode
        if code >= 0:
            return Ended(f"exited with code {code}")
        return Ended(f"was killed by signal {-code} ({signal.strsignal(-code)})")


def _kill(process: subprocess.Popen[bytes], channel: socket.socket, owner: int) -> None:
    """Kill a process with all that it started; a fork of its owner, which has a copy of everything, does not."""
    channel.close()
    if os.getpid() != owner:
        return
    # The group may be gone already.
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdout:
        process.stdout.close()


class _Lines:
    """Printed bytes, told line by line once each is whole; the rest of them when closed."""

    def __init__(self, hear: Hear) -> None:
        self._hear = hear
        self._rest = b""
        self._room = MOST_PRINTED

    def take(self, data: bytes) -> None:
        kept = data[: max(self._room, 0)]
        self._room -= len(data)
        *lines, self._rest = (self._rest + kept).split(b"\n")
        for line in lines:
            self._tell(line)

    def close(self) -> None:
        if self._rest:
            self._tell(self._rest)
        if self._room < 0:
            self._hear(f"({-self._room} more bytes of this call are left out)")

    def _tell(self, line: bytes) -> None:
        # A progress bar writes its line anew and anew.
        self._hear(line.rpartition(b"\r")[2].decode("utf-8", "replace"))
