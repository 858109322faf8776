"""The teacher, who writes wrong answers to order: an OpenAI-compatible endpoint, or what others of the data say."""

import asyncio
import base64
import os
import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from io import BytesIO
from typing import Any, Protocol

import httpx
from PIL import Image

from rl.brake import dropped
from rl.contrast import Repair, hinted, truth
from rl.data.images import open_image
from rl.data.prompts import IMAGE, PromptBuilder, answer_text
from rl.faults import RunFailure
from rl.types import Prompt, Sample, Target, Task
from rollout.config import RolloutConfig

TRIES = 3
PAUSE_S = 1.0
"""Before the second try; twice as long before the third."""
PASSING = (408, 409, 425, 429, 500, 502, 503, 504)
"""HTTP statuses that may be another one next time."""
LONGEST_QUOTE = 200
ANY = ""
"""Stands for all categories together."""
Message = dict[str, Any]


class Teacher(Protocol):
    async def write(self, repairs: Sequence[Repair], seed: int) -> list[list[str]]:
        """For each repair up to as many texts as it has places, written under its hint."""


class EndpointTeacher:
    """Asks a chat-completions endpoint, once a text, in the words that the run's prompts have."""

    def __init__(self, config: RolloutConfig, messages: Callable[[Sample], list[dict[str, str]]]) -> None:
        self._teacher = config.teacher
        self._messages = messages
        self._options = {
            "model": config.teacher.model,
            "temperature": config.temperature,
            "max_tokens": config.max_response_tokens,
        }
        self._key = _key(config.teacher.key_env)

    async def check(self) -> None:
        """Raises a RunFailure where the endpoint would not answer later."""
        async with self._client() as client:
            await self._answer(client, {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 1})

    async def write(self, repairs: Sequence[Repair], seed: int) -> list[list[str]]:
        room = asyncio.Semaphore(self._teacher.max_concurrency)
        async with self._client() as client:
            tasks = [
                asyncio.ensure_future(self._text(client, room, repair, seed + number))
                for repair in repairs
                for number in range(len(repair.places))
            ]
            try:
                texts = iter(await asyncio.gather(*tasks))
            finally:
                await dropped(tasks)
        return [[text for _ in repair.places if (text := next(texts))] for repair in repairs]

    async def _text(self, client: httpx.AsyncClient, room: asyncio.Semaphore, repair: Repair, seed: int) -> str:
        """One answer; "" for one that was cut off."""
        async with room:
            messages = await asyncio.to_thread(self._asked, repair)
            choice = await self._answer(client, {"messages": messages, "seed": seed})
        return str(choice["message"]["content"] or "").strip() if choice["finish_reason"] == "stop" else ""

    def _asked(self, repair: Repair) -> list[Message]:
        """The run's own prompt with the hint; the images stand before the words, as they do there."""
        prompt = repair.group.prompt
        *before, question = self._messages(hinted(prompt.sample, repair.untruth))
        images = [{"type": "image_url", "image_url": {"url": url}} for url in _image_urls(prompt)]
        words = {"type": "text", "text": question["content"].replace(IMAGE, "")}
        return [*before, {"role": "user", "content": [*images, words]}]

    def _client(self) -> httpx.AsyncClient:
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        return httpx.AsyncClient(headers=headers, timeout=None)

    async def _answer(self, client: httpx.AsyncClient, body: Message) -> Message:
        """The first choice of the answer; what may pass is tried again, a few times."""
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
        """Status and words of an answer, without the key, which some servers repeat."""
        words = self._without_key(" ".join(response.text.split()))
        return f"{response.status_code} ({words[:LONGEST_QUOTE]})"

    def _failure(self, fault: str) -> RunFailure:
        return RunFailure(f"the teacher at rollout.teacher.url={self._teacher.url} {self._without_key(fault)}")

    def _without_key(self, words: str) -> str:
        return words.replace(self._key, "***") if self._key else words


class BorrowedTexts:
    """Has the reference texts of samples of which the hint is true: fluent, in form, and wrong elsewhere."""

    def __init__(self, samples: Sequence[Sample], builder: PromptBuilder) -> None:
        self._builder = builder
        self._samples: defaultdict[tuple[Task, str, str], list[Sample]] = defaultdict(list)
        for sample in samples:
            if sample.target.rationale:
                told = _said(sample.target, truth(sample.task, sample.target))
                for category in (sample.category, ANY):
                    self._samples[sample.task, told, category].append(sample)

    async def write(self, repairs: Sequence[Repair], seed: int) -> list[list[str]]:
        return [await asyncio.to_thread(self._texts, repair, seed) for repair in repairs]

    def _texts(self, repair: Repair, seed: int) -> list[str]:
        """Of samples of the same category where there are any."""
        sample = repair.group.prompt.sample
        told = _said(sample.target, repair.untruth)
        lenders = self._samples[sample.task, told, sample.category] or self._samples[sample.task, told, ANY]
        chosen = random.Random(f"{seed}/{sample.id}").sample(lenders, min(len(repair.places), len(lenders)))
        # Their boxes are wanted in the pixels that the model sees.
        targets = [self._builder.build(lender).target for lender in chosen]
        return [answer_text(target, sample.task) for target in targets]


def _said(target: Target, verdict: str) -> str:
    """A verdict, or the letter of an option with its words, which stand at other letters elsewhere."""
    return f"{verdict} {target.options[verdict]}" if verdict in target.options else verdict


class _Passing(Exception):
    """Something that may be otherwise the next time."""


def _key(variable: str) -> str:
    # A file that holds a secret mostly ends its line.
    key = os.environ.get(variable, "").strip() if variable else ""
    if variable and not key:
        raise ValueError(f"rollout.teacher.key_env: the environment has no {variable}; export it where the run starts")
    if not (key.isascii() and key.isprintable()):
        raise ValueError(f"rollout.teacher.key_env: {variable} holds no key that a header could carry; correct it")
    return key


def _image_urls(prompt: Prompt) -> list[str]:
    """The images as data URLs, the inspected one in the pixels that boxes are counted in, none larger than it."""
    images = [open_image(path) for path in prompt.sample.images]
    for image in images[:-1]:
        image.thumbnail((max(prompt.image_size),) * 2)
    return [_data_url(image) for image in [*images[:-1], *(image.resize(prompt.image_size) for image in images[-1:])]]


def _data_url(image: Image.Image) -> str:
    file = BytesIO()
    image.save(file, "png")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
