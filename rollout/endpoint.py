"""A chat-completions endpoint: a bounded number of tries, and messages that never show its key."""

import asyncio
import base64
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
from PIL import Image

from rl.brake import dropped
from rl.data.images import Size, open_image
from rl.faults import RunFailure, one_line
from rollout.config import RolloutConfig
from rollout.endpoint_key import endpoint_key

TRIES = 3
PAUSE_S = 1.0
"""Pause before the second try; twice as long before the third."""
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

    def __init__(self, config: RolloutConfig) -> None:
        self._teacher = config.teacher
        self._options = {
            "model": config.teacher.model,
            "temperature": config.temperature,
            "max_tokens": config.max_response_tokens,
        }
        self._key = endpoint_key(config.teacher.key_env)

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
            choice = await self._answer(client, {"messages": messages, "seed": request.seed})
        text = str(choice["message"]["content"] or "").strip() if choice["finish_reason"] == "stop" else ""
        # JSON can escape halves of characters, which no tokenizer accepts.
        return text.encode("utf-8", "replace").decode()

    def _client(self) -> httpx.AsyncClient:
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        return httpx.AsyncClient(headers=headers, timeout=None)

    async def _answer(self, client: httpx.AsyncClient, body: Message) -> Message:
        """Return the first choice of the answer; retry, a few times, after a fault that may pass."""
        fault = ""
        for number in range(TRIES):
            await asyncio.sleep(PAUSE_S * number)
            try:
                return self._choice(await self._response(client, body))
            except _Passing as error:
                fault = str(error)
        raise self._failure(fault)

    async def _response(self, client: httpx.AsyncClient, body: Message) -> httpx.Response:
        seconds = self._teacher.timeout_s
        try:
            async with asyncio.timeout(seconds):
                address = f"{self._teacher.url.rstrip('/')}/chat/completions"
                return await client.post(address, json=self._options | body)
        except TimeoutError as error:
            raise _Passing(
                f"gave no answer in {seconds:g} s; see its log or raise rollout.teacher.timeout_s"
            ) from error
        except httpx.HTTPError as error:
            raise _Passing(f"is out of reach ({type(error).__name__}: {error}); start it or correct its url") from error

    def _choice(self, response: httpx.Response) -> Message:
        if response.status_code in PASSING:
            raise _Passing(f"answered {self._said(response)}; see its log")
        if not response.is_success:
            raise self._failure(f"answered {self._said(response)}; correct rollout.teacher.url, model or key_env")
        try:
            choice = response.json()["choices"][0]
            return {"finish_reason": choice["finish_reason"], "message": {"content": choice["message"]["content"]}}
        except (ValueError, LookupError, TypeError) as error:
            raise self._failure(f"answered no chat completion: {self._said(response)}; correct its url") from error

    def _said(self, response: httpx.Response) -> str:
        """Return status and words of an answer, without the key, which some servers repeat."""
        words = self._without_key(one_line(response.text))
        return f"{response.status_code} ({words[:LONGEST_QUOTE]})"

    def _failure(self, fault: str) -> RunFailure:
        return RunFailure(f"the teacher at rollout.teacher.url={self._teacher.url} {self._without_key(fault)}")

    def _without_key(self, words: str) -> str:
        return words.replace(self._key, "***") if self._key else words


class _Passing(Exception):
    """A fault that may be gone at the next try."""


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
