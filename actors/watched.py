"""The base class of all actors."""

import os
from threading import Event

import ray

PULSE = "pulse"
"""Concurrency group of the call that lasts as long as its actor."""
PRESENCE = "presence"
"""Concurrency group of the call that an actor answers at once, whatever else it does."""


class Watched:
    """An actor that tells where it runs and whose death is noticed at once."""

    def where(self) -> str:
        """Return the node, process and log file of this actor."""
        node = ray.get_runtime_context().get_node_id()
        log = os.path.realpath("/proc/self/fd/2")
        return f"node {node_address()} {node[:8]}, pid {os.getpid()}, log {log}"

    @ray.method(concurrency_group=PULSE)
    def pulse(self) -> None:
        """Never return: a caller that waits learns at once when this actor is gone."""
        Event().wait()

    @ray.method(concurrency_group=PRESENCE)
    def present(self) -> None:
        """Return at once: the actor is there."""


def node_address() -> str:
    """Return the address at which other machines reach this one."""
    return str(ray.util.get_node_ip_address())
