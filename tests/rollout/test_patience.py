"""A busy endpoint is waited for, within a limit; what it answers is read up to a limit and never decompressed."""

import asyncio
import gzip
import os
import signal
import time
from email.utils import formatdate
from itertools import repeat
from typing import Any

import pytest

from builders.chat_server import HANG_UP, ChatServer, says, serving
from launch.run.signals import stop_on_signals
from rl.brake import Brake, Stopped
from rl.faults import RunFailure
from rollout import endpoint
from rollout.config import RolloutConfig, TeacherConfig
from rollout.endpoint import Endpoint, Request
from rollout.reply import MAX_BYTES, wait_of

pytestmark = pytest.mark.slow

MIB = 2**20
REQUEST = Request(messages=[{"role": "user", "content": "Hello"}], images=(), image_size=(0, 0), seed=0)
BUSY = 429, {"error": "busy"}


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "PAUSE_S", 0.01)


@pytest.fixture
def said() -> list[str]:
    """What the endpoint says while it waits."""
    return []


def endpoint_at(server: ChatServer, said: list[str], **options: Any) -> Endpoint:
    teacher = TeacherConfig(url=server.url, model="large", **options)
    return Endpoint(RolloutConfig(teacher=teacher), said.append)


def ask(server: ChatServer, said: list[str], count: int = 1, **options: Any) -> list[str]:
    return asyncio.run(endpoint_at(server, said, **options).texts([REQUEST] * count))


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_endpoint_is_asked_again_until_it_answers(said: list[str], status: int):
    with serving(*[(status, {})] * 6, says("Yes.")) as server:
        assert ask(server, said) == ["Yes."]
    assert len(server.asked) == 7


def test_an_endpoint_is_left_alone_for_the_seconds_that_it_asks_for(said: list[str]):
    with serving((*BUSY, {"Retry-After": "1"}), says("Yes.")) as server:
        began = time.monotonic()
        assert ask(server, said) == ["Yes."]
        assert 1 <= time.monotonic() - began < 10
        (sentence,) = said
        assert sentence.startswith(f"the teacher at rollout.teacher.url={server.url} answered 429 (")
    assert sentence.endswith("; it is asked again in 1 s, for 600 s more at most (rollout.teacher.give_up_after_s=600)")


def test_an_endpoint_may_name_the_end_of_the_wait_by_a_date(said: list[str]):
    with serving((*BUSY, {"Retry-After": formatdate(time.time() + 100, usegmt=True)})) as server:
        with pytest.raises(RunFailure, match=r"asks to wait (9\d|100) s, longer than rollout\.teacher\.give_up_"):
            ask(server, said, give_up_after_s=50.0)


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({"retry-after": " 120 "}, 120.0),
        ({"retry-after": "Wed, 21 Oct 2026 07:30:00 GMT", "date": "Wed, 21 Oct 2026 07:28:00 GMT"}, 120.0),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT", "date": "Wed, 21 Oct 2026 07:30:00 GMT"}, 0.0),
        ({"retry-after": "Wed, 21 Oct 2026 07:30:00 -0000", "date": "Wed, 21 Oct 2026 07:28:00 GMT"}, 120.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT", "date": "today"}, 0.0),
        *(({"retry-after": odd}, 0.0) for odd in ("", "-5", "1e9", "9" * 5000, "soon", "Wed, 99 Oct 2026 07:28 GMT")),
        ({}, 0.0),
    ],
)
def test_the_wait_is_read_from_seconds_or_a_date_and_nothing_else(headers: dict[str, str], wait_s: float):
    assert wait_of(headers) == wait_s


def test_the_wait_has_a_limit_and_ends_in_a_sentence(said: list[str]):
    with serving((503, {"error": "busy"})) as server:
        with pytest.raises(RunFailure) as caught:
            ask(server, said, give_up_after_s=0.3)
        assert str(caught.value) == (
            f'the teacher at rollout.teacher.url={server.url} answered 503 ({{"error": "busy"}}) and was waited for as '
            "long as rollout.teacher.give_up_after_s=0.3 allows; see its log, or raise that"
        )


def test_a_wait_beyond_the_limit_is_not_begun(said: list[str]):
    began = time.monotonic()
    with serving((*BUSY, {"Retry-After": "3600"})) as server:
        with pytest.raises(
            RunFailure, match=r"asks to wait 3600 s, longer than rollout\.teacher\.give_up_after_s=600 all"
        ):
            ask(server, said)
    assert time.monotonic() - began < 5 and len(server.asked) == 1


def test_requests_that_wait_for_the_same_reason_say_it_once(said: list[str]):
    with serving(*[BUSY] * 8, says("Yes.")) as server:
        assert ask(server, said, count=4, max_concurrency=4) == ["Yes."] * 4
    assert len(said) == 1


def test_an_endpoint_that_has_answered_is_waited_for_when_it_is_away(said: list[str]):
    async def ask_twice(server: ChatServer) -> list[str]:
        asked = endpoint_at(server, said)
        return [*await asked.texts([REQUEST]), *await asked.texts([REQUEST])]

    with serving(says("one"), *[HANG_UP] * 6, says("two")) as server:
        assert asyncio.run(ask_twice(server)) == ["one", "two"]
    assert "is out of reach (RemoteProtocolError: " in said[0]


def test_an_endpoint_that_has_never_answered_gets_three_tries(said: list[str]):
    with serving(HANG_UP) as server, pytest.raises(RunFailure, match="is out of reach"):
        ask(server, said)
    assert len(server.asked) == endpoint.TRIES == 3 and said == []


def test_ctrl_c_ends_a_wait_at_once(said: list[str]):
    brake = Brake()

    async def stopped_run(server: ChatServer) -> None:
        stop_on_signals(brake)
        asyncio.get_running_loop().call_later(0.3, os.kill, os.getpid(), signal.SIGINT)
        await brake.unless_pulled(endpoint_at(server, said).texts([REQUEST]))

    began = time.monotonic()
    with serving((*BUSY, {"Retry-After": "300"})) as server:
        with pytest.raises(Stopped, match="Ctrl-C"):
            asyncio.run(stopped_run(server))
    assert time.monotonic() - began < 5 and len(said) == 1


def test_an_answer_without_end_is_read_up_to_a_limit(said: list[str]):
    endless = iter(repeat(b" " * MIB, 256))
    with serving((200, endless)) as server:
        with pytest.raises(RunFailure, match=r"answered more than 4 MiB; correct its url or look at its server"):
            ask(server, said)
        assert MAX_BYTES == 4 * MIB and server.num_sent < 64 * MIB


def test_no_encoding_is_asked_for_and_an_encoded_answer_is_refused_unread(said: list[str]):
    status, content = says("Yes.")
    packed = gzip.compress(repr(content).encode() + b" " * 8 * MIB)
    with serving((status, packed, {"Content-Encoding": "gzip"})) as server:
        with pytest.raises(RunFailure, match="answered in the encoding 'gzip', which it was not asked for; switch"):
            ask(server, said)
    assert server.headers[0]["Accept-Encoding"] == "identity"


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 200_000,
        b'{"choices": ' * 20_000,
        b'{"choices": [{"finish_reason": "stop", "message": {"content": ' + b"[" * 900 + b"]" * 900 + b"}}]}",
        b'{"choices": [{"finish_reason": "stop", "message": {"content": 7}}]}',
        b'{"choices": [' + b"9" * 10_000 + b"]}",
        b"\xff\xfe\x00",
        b"",
    ],
    ids=["deep lists", "deep objects", "a deep text", "a number", "a long number", "no text", "nothing"],
)
def test_deep_and_broken_json_is_a_sentence(said: list[str], content: bytes):
    with serving((200, content)) as server, pytest.raises(RunFailure, match="answered no chat completion") as caught:
        ask(server, said)
    assert len(str(caught.value)) < 500


def test_what_an_endpoint_says_cannot_move_the_cursor_of_a_terminal(said: list[str]):
    with serving((400, b"\x1b[2J\x1b]0;owned\x07 no\r\n")) as server, pytest.raises(RunFailure) as caught:
        ask(server, said)
    assert str(caught.value).isprintable() and "owned" in str(caught.value)
