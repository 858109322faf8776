"""The answer of an endpoint over HTTP: hostile input, so it is read up to a limit and never decompressed."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

from rl.faults import one_line

MAX_BYTES = 4 * 2**20
"""Maximum size of an answer; the words of a completion take a few KiB."""
PLAIN = ("", "identity")
"""Encodings that leave a body as it is."""
SECONDS = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True, kw_only=True)
class Reply:
    """An answer as it arrived."""

    status: int
    encoding: str
    """Encoding of the body, which is never undone: a few bytes of gzip can stand for gigabytes."""
    body: bytes
    """The body, or its first bytes if it is larger than MAX_BYTES."""
    wait_s: float
    """Seconds for which the endpoint asks to be left alone (Retry-After); 0 if it does not."""

    @property
    def is_good(self) -> bool:
        return 200 <= self.status < 300

    @property
    def is_too_large(self) -> bool:
        return len(self.body) > MAX_BYTES

    @property
    def words(self) -> str:
        """The body as printable text on one line; "" if it is encoded."""
        text = self.body.decode("utf-8", "replace") if self.encoding in PLAIN else ""
        return "".join(letter if letter.isprintable() else "\ufffd" for letter in one_line(text))

    def first_choice(self) -> tuple[str, bool]:
        """Return the text of a chat completion, and True if it came to its end; raise a ValueError for another body."""
        try:
            choice = json.loads(self.body)["choices"][0]
            text, has_ended = choice["message"]["content"], choice["finish_reason"] == "stop"
        except (LookupError, TypeError, RecursionError) as error:
            raise ValueError("no chat completion") from error
        if not isinstance(text, str | None):
            raise ValueError("no text")
        return text or "", has_ended


async def read_reply(response: httpx.Response) -> Reply:
    """Read a response that is still arriving, no further than MAX_BYTES."""
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > MAX_BYTES:
            break
    return Reply(
        status=response.status_code,
        encoding=response.headers.get("content-encoding", "").strip().lower(),
        body=bytes(body),
        wait_s=wait_of(response.headers),
    )


def wait_of(headers: Mapping[str, str]) -> float:
    """Return the seconds that Retry-After asks for, as a number or as a date; 0 for none that can be read.

    >>> wait_of({"retry-after": "20"}), wait_of({"retry-after": "soon"}), wait_of({})
    (20.0, 0.0, 0.0)
    >>> both = {"date": "Wed, 21 Oct 2026 07:28:00 GMT", "retry-after": "Wed, 21 Oct 2026 07:28:30 GMT"}
    >>> wait_of(both)
    30.0
    """
    asked = headers.get("retry-after", "").strip()
    if SECONDS.fullmatch(asked):
        return float(asked)
    until = _instant(asked)
    # By the endpoint's own clock, if it tells it.
    now = _instant(headers.get("date", "")) or datetime.now(UTC)
    return max(0.0, (until - now).total_seconds()) if until else 0.0


def _instant(text: str) -> datetime | None:
    """Return the time that an HTTP date names; None for another text."""
    try:
        found = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
