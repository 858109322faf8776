"""Ports where ranks meet, and where servers of tests listen, are never free for another program to take."""

import errno
import socket
from datetime import timedelta

import pytest
import torch.distributed as dist

from actors.learner import Learner
from actors.platform import open_store
from builders.ports import held_ports


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


def test_a_port_that_is_held_goes_to_a_server_and_to_no_other_program():
    with held_ports(2) as ports, socket.socket() as other, socket.socket() as server:
        with pytest.raises(OSError) as taken:
            other.bind(("127.0.0.1", ports[0]))
        assert taken.value.errno == errno.EADDRINUSE
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("127.0.0.1", ports[1]))
        server.listen()
        with socket.create_connection(("127.0.0.1", ports[1]), timeout=5):
            assert server.accept()[0].getsockname() == ("127.0.0.1", ports[1])
