"""Runs a function as the ranks of a process group, each in a process of its own, and never waits for ever."""

import os
import random
import socket
import time
import traceback
from collections.abc import Callable
from contextlib import ExitStack, suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any


def run_ranks(
    work: Callable[..., Any], num_ranks: int, *arguments: Any, num_groups: int, timeout_s: float
) -> list[Any]:
    """What each rank returned; `work` gets ports for as many process groups as it opens, one after the other."""
    ports = free_ports(num_groups)
    context = get_context("spawn")
    pipes = [context.Pipe(duplex=False) for _ in range(num_ranks)]
    ranks = [
        context.Process(target=_rank, args=(rank, num_ranks, sender, work, ports, *arguments), daemon=True)
        for rank, (_, sender) in enumerate(pipes)
    ]
    for rank in ranks:
        rank.start()
    try:
        return _results([receiver for receiver, _ in pipes], time.monotonic() + timeout_s)
    finally:
        for rank in ranks:
            rank.kill()
            rank.join(10)


def open_group(port: int) -> None:
    """Where the next process group of this process meets."""
    os.environ["MASTER_PORT"] = str(port)


def free_ports(count: int) -> list[int]:
    """Below those that a system hands out itself, and for each pytest process others: nobody takes one in between."""
    begin = 20_000 + 2_000 * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    with ExitStack() as stack:
        found: list[int] = []
        for port in random.sample(range(begin, begin + 2_000), 2_000):
            with suppress(OSError):
                stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
                found.append(port)
            if len(found) == count:
                return found
    raise OSError(f"no {count} free ports from {begin} on")


def _rank(
    rank: int, num_ranks: int, sender: Connection, work: Callable[..., Any], ports: list[int], *arguments: Any
) -> None:
    os.environ.update(RANK=str(rank), WORLD_SIZE=str(num_ranks), MASTER_ADDR="127.0.0.1", OMP_NUM_THREADS="1")
    try:
        sender.send((True, work(rank, ports, *arguments)))
    except BaseException:
        sender.send((False, traceback.format_exc()))
        raise


def _results(receivers: list[Connection], deadline: float) -> list[Any]:
    results = []
    for rank, receiver in enumerate(receivers):
        if not receiver.poll(max(0.0, deadline - time.monotonic())):
            raise TimeoutError(f"rank {rank} did not finish in time")
        succeeded, result = receiver.recv()
        assert succeeded, f"rank {rank} failed:\n{result}"
        results.append(result)
    return results
