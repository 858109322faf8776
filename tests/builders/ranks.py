"""Warm processes that play the ranks of a torch.distributed group; they import torch once for many tests."""

import os
import time
import traceback
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from typing import Any

from actors.platform import open_store
from actors.setups import Rank

NUM_GROUPS = 8
"""Number of process groups that a call may open, one after the other."""
TIMEOUT_S = 240.0

_ports: list[int] = []
"""In a rank: the ports of the stores at which the next groups of the present call meet."""
_place: list[int] = []
"""In a rank: its number and the count of ranks."""


class Ranks:
    """Pool of one process per rank; it starts with the first call, and again after a failure."""

    def __init__(self, num_ranks: int) -> None:
        self.num_ranks = num_ranks
        self._pipes: list[Connection] = []
        self._processes: list[Any] = []

    def run(self, work: Callable[..., Any], *arguments: Any) -> list[Any]:
        """Call `work(rank, *arguments)` in every rank at once; return the results by rank.

        `work` runs in other processes: it must be a module's function, and must return arrays, not tensors.
        """
        if not self._processes:
            self._start()
        stores = [open_store() for _ in range(NUM_GROUPS)]
        call = ([store.port for store in stores], work, arguments)
        try:
            for pipe in self._pipes:
                pipe.send(call)
            return _results(self._pipes, time.monotonic() + TIMEOUT_S)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        for process in self._processes:
            process.kill()
            process.join(10)
        self._processes, self._pipes = [], []

    def _start(self) -> None:
        context = get_context("spawn")
        for rank in range(self.num_ranks):
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(rank, self.num_ranks, theirs), daemon=True)
            process.start()
            self._pipes.append(ours)
            self._processes.append(process)


def next_rank() -> Rank:
    """Return this process's place in the next process group; NUM_GROUPS times in a call."""
    return Rank(number=_place[0], count=_place[1], address=f"127.0.0.1:{_ports.pop()}")


def _serve(rank: int, num_ranks: int, pipe: Connection) -> None:
    os.environ["OMP_NUM_THREADS"] = "1"
    _place[:] = rank, num_ranks
    while True:
        _ports[:], work, arguments = pipe.recv()
        try:
            pipe.send((True, work(rank, *arguments)))
        except BaseException:
            pipe.send((False, traceback.format_exc()))
            raise


def _results(pipes: list[Connection], deadline: float) -> list[Any]:
    """Wait for every rank; raise when the first one fails or dies, since the others may wait for it."""
    found: dict[int, Any] = {}
    while len(found) < len(pipes):
        waiting = {pipe: rank for rank, pipe in enumerate(pipes) if rank not in found}
        ready = wait(list(waiting), max(0.0, deadline - time.monotonic()))
        if not ready:
            raise TimeoutError(f"ranks {sorted(waiting.values())} did not finish in time")
        for rank, pipe in ((waiting[pipe], pipe) for pipe in ready):
            try:
                succeeded, result = pipe.recv()
            except EOFError as error:
                raise RuntimeError(f"rank {rank} died") from error
            assert succeeded, f"rank {rank} failed:\n{result}"
            found[rank] = result
    return [found[rank] for rank in range(len(pipes))]
