"""A chat-completions endpoint: waited for while it is busy, within limits, and messages that never show its key."""

import asyncio
import base64
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
from PIL import Image

from rl.brake import dropped
from rl.data.images import Size, open_image
from rl.faults import RunFailure
from rollout.config import RolloutConfig
from rollout.endpoint_key import endpoint_key
from rollout.reply import MAX_BYTES, PLAIN, Reply, read_reply

TRIES = 3
"""Tries at an endpoint that has never answered and may have another address; others get more, by give_up_after_s."""
PAUSE_S = 1.0
"""Pause before the second try; each further one is twice as long, unless the endpoint asks for a longer one."""
LONGEST_PAUSE_S = 30.0
SAID_EVERY_S = 60.0
"""Shortest time between two sentences that the endpoint is waited for."""
PASSING = (408, 409, 425, 429, 500, 502, 503, 504)
"""HTTP statuses that may pass, so the request is tried again."""
LONGEST_QUOTE = 200
Message = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Request:
    """A request for one text."""

    messages: Sequence[dict[str, str]]
    """Words of the chat as in the run's prompts, without the images, which stand in its last message."""
    images: Sequence[Path]
    """Image files, the inspected one last."""
    image_size: Size
    """(width, height) of the inspected image as it is shown; others are shown no larger."""
    seed: int


class Endpoint:
    """The endpoint of rollout.teacher, asked once for each text."""

    def __init__(self, config: RolloutConfig, say: Callable[[str], None]) -> None:
        """`say` is told when the endpoint is waited for."""
        self._teacher = config.teacher
        self._options = {
            "model": config.teacher.model,
            "temperature": config.temperature,
            "max_tokens": config.max_response_tokens,
        }
        self._key = endpoint_key(config.teacher.key_env)
        self._say = say
        self._quiet_until = 0.0
        self._has_answered = False

    async def check(self) -> None:
        """Raise a RunFailure if the endpoint does not answer now."""
        async with self._client() as client:
            await self._answer(client, {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 1})

    async def texts(self, requests: Sequence[Request]) -> list[str]:
        """Return the answer to each request; "" for one that was cut off."""
        room = asyncio.Semaphore(self._teacher.max_concurrency)
        async with self._client() as client:
            tasks = [asyncio.ensure_future(self._text(client, room, request)) for request in requests]
            try:
                return list(await asyncio.gather(*tasks))
            finally:
                await dropped(tasks)

    async def _text(self, client: httpx.AsyncClient, room: asyncio.Semaphore, request: Request) -> str:
        async with room:
            messages = await asyncio.to_thread(_chat, request)
            text, has_ended = await self._answer(client, {"messages": messages, "seed": request.seed})
        # JSON can escape halves of characters, which no tokenizer accepts.
        return text.strip().encode("utf-8", "replace").decode() if has_ended else ""

    def _client(self) -> httpx.AsyncClient:
        key = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        return httpx.AsyncClient(headers={"Accept-Encoding": "identity", **key}, timeout=None)

    async def _answer(self, client: httpx.AsyncClient, body: Message) -> tuple[str, bool]:
        """Return the text of the answer, and True if it came to its end; ask again after a fault that may pass."""
        deadline, tries = time.monotonic() + self._teacher.give_up_after_s, 0
        while True:
            tries += 1
            try:
                return self._choice(await self._reply(client, body))
            except _Passing as fault:
                pause_s = self._pause_s(fault, tries, deadline - time.monotonic())
            await asyncio.sleep(pause_s)

    def _pause_s(self, fault: "_Passing", tries: int, left_s: float) -> float:
        """Return the seconds until the next try; raise a RunFailure after enough tries or with too little time left."""
        if tries >= TRIES and not self._has_answered:
            raise self._failure(f"{fault}; {fault.advice}")
        limit = f"rollout.teacher.give_up_after_s={self._teacher.give_up_after_s:g}"
        if left_s <= 0:
            raise self._failure(f"{fault} and was waited for as long as {limit} allows; {fault.advice}, or raise that")
        if fault.wait_s > left_s:
            raise self._failure(f"{fault} and asks to wait {fault.wait_s:g} s, longer than {limit} allows; raise that")
        pause_s = max(fault.wait_s, min(PAUSE_S * 2 ** min(tries - 1, 9), LONGEST_PAUSE_S, left_s))
        # Other requests wait for the same reason, so one sentence now and then is enough.
        if self._has_answered and time.monotonic() >= self._quiet_until:
            self._quiet_until = time.monotonic() + SAID_EVERY_S
            told = self._told(str(fault))
            self._say(f"{told}; it is asked again in {pause_s:.3g} s, for {left_s:.0f} s more at most ({limit})")
        return pause_s

    async def _reply(self, client: httpx.AsyncClient, body: Message) -> Reply:
        seconds, address = self._teacher.timeout_s, f"{self._teacher.url.rstrip('/')}/chat/completions"
        try:
            async with (
                asyncio.timeout(seconds),
                client.stream("POST", address, json=self._options | body) as response,
            ):
                self._has_answered = True
                return await read_reply(response)
        except TimeoutError as error:
            raise _Passing(
                f"gave no answer in {seconds:g} s", "see its log or raise rollout.teacher.timeout_s"
            ) from error
        except httpx.HTTPError as error:
            raise _Passing(
                f"is out of reach ({type(error).__name__}: {error})", "start it or correct its url"
            ) from error

    def _choice(self, reply: Reply) -> tuple[str, bool]:
        """Return the text of a reply, and True if it came to its end."""
        if reply.status in PASSING:
            raise _Passing(f"answered {self._said(reply)}", "see its log", reply.wait_s)
        if not reply.is_good:
            raise self._failure(f"answered {self._said(reply)}; correct rollout.teacher.url, model or key_env")
        if reply.encoding not in PLAIN:
            raise self._failure(
                f"answered in the encoding {ascii(reply.encoding[:20])}, which it was not asked for; switch "
                "compression off in its server or proxy"
            )
        if reply.is_too_large:
            raise self._failure(f"answered more than {MAX_BYTES // 2**20} MiB; correct its url or look at its server")
        try:
            return reply.first_choice()
        except ValueError as error:
            raise self._failure(f"answered no chat completion: {self._said(reply)}; correct its url") from error

    def _said(self, reply: Reply) -> str:
        """Return status and words of an answer, without the key, which some servers repeat."""
        return f"{reply.status} ({self._without_key(reply.words)[:LONGEST_QUOTE]})"

    def _failure(self, fault: str) -> RunFailure:
        return RunFailure(self._told(fault))

    def _told(self, fault: str) -> str:
        return f"the teacher at rollout.teacher.url={self._teacher.url} {self._without_key(fault)}"

    def _without_key(self, words: str) -> str:
        return words.replace(self._key, "***") if self._key else words


class _Passing(Exception):
    """A fault that may be gone at the next try."""

    def __init__(self, fault: str, advice: str, wait_s: float = 0.0) -> None:
        super().__init__(fault)
        self.advice = advice
        self.wait_s = wait_s
        """Seconds for which the endpoint asks to be left alone."""


def _chat(request: Request) -> list[Message]:
    """Return the chat of the request, the images before the last words as in the run's own prompts."""
    *before, question = request.messages
    images = [{"type": "image_url", "image_url": {"url": url}} for url in _image_urls(request)]
    words = {"type": "text", "text": question["content"]}
    return [*before, {"role": "user", "content": [*images, words]}]


def _image_urls(request: Request) -> list[str]:
    """Return the images as data URLs: the inspected one in the pixels of the boxes, the others no larger."""
    images = [open_image(path) for path in request.images]
    for image in images[:-1]:
        image.thumbnail((max(request.image_size),) * 2)
    return [_data_url(image) for image in [*images[:-1], *(image.resize(request.image_size) for image in images[-1:])]]


def _data_url(image: Image.Image) -> str:
    file = BytesIO()
    image.save(file, "png")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
