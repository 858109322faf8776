"""The place where the ranks of a run meet: its port is never free for another program to take."""

import errno
import socket
from datetime import timedelta

import pytest
import torch.distributed as dist

from actors.learner import Learner
from actors.platform import open_store


def test_the_port_is_held_from_the_moment_it_is_known():
    learner = Learner()
    _, _, port = learner.open_meeting().rpartition(":")
    with socket.socket() as other, pytest.raises(OSError) as taken:
        other.bind(("", int(port)))
    assert taken.value.errno == errno.EADDRINUSE


def test_another_rank_reaches_the_address():
    learner = Learner()
    host, _, port = learner.open_meeting().rpartition(":")
    other = dist.TCPStore(host, int(port), is_master=False, timeout=timedelta(seconds=10))
    other.set("word", "here")
    assert other.get("word") == b"here"


def test_runs_that_start_at_once_meet_at_different_ports():
    stores = [open_store() for _ in range(16)]
    assert len({store.port for store in stores}) == 16
