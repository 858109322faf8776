"""Makes a sample the prompt that a model sees: chat text, tokens, and the images processed once."""

import json
import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import rl.import_fixes  # noqa: F401

import numpy as np
from PIL import Image
from transformers import AutoImageProcessor, AutoTokenizer

from rl.data.config import DataConfig, Instructions
from rl.data.grid import cells_text
from rl.data.images import Size, in_threads, open_image, stated_size
from rl.data.instructions import WORDS
from rl.data.pieces import names_of, pieces
from rl.data.questions import WITH_OPTIONS
from rl.faults import UserError
from rl.model_config import family_of
from rl.types import DEFECTIVE, Box, Pixels, Prompt, Sample, Target, Task

WORD = "defective"
NO_TEMPLATE = "no chat template (chat_template.jinja) that repeats what a user says; copy it from the base model"
SENTENCE = re.compile(r".+?(?:[.!?](?=\s|$)|$)")


def answer_text(target: Target, task: Task = Task.boxes) -> str:
    """Return the right answer in the form of the task, boxes in whole pixels."""
    before = BEFORE[task](target) if task in BEFORE else ""
    return f"{before}<think>{target.rationale}</think><answer>{_answer(target, task)}</answer>"


def _seg(target: Target) -> str:
    if target.cells is None:
        raise UserError("a target without cells has no right answer on the grid; give its image a mask or boxes")
    return f"<seg>{cells_text(target.cells)}</seg>"


def _knowledge(target: Target) -> str:
    """Return the right piece of knowledge: its name and its first sentence."""
    if not target.offered:
        raise UserError("a target without offered knowledge has none to choose; give data.knowledge.file")
    cue = SENTENCE.match(target.knowledge)
    return f"<knowledge>{target.offered[0]}{f': {cue[0]}' if cue else ''}</knowledge>"


BEFORE = {Task.grid: _seg, Task.routed: _knowledge}
"""Text before the reasoning, by task."""


def _answer(target: Target, task: Task) -> str:
    """Return the text between the answer tags."""
    if task in WITH_OPTIONS:
        if not target.option:
            raise UserError(f"a target without an option has no right answer; read its data with data.task={task.name}")
        return target.option
    boxes = [([round(edge) for edge in box], label) for box, label in zip(target.boxes, target.box_labels, strict=True)]
    if task is Task.grounding:
        return json.dumps([{"bbox_2d": box, "label": label} for box, label in boxes], ensure_ascii=False)
    verdict = "Yes." if target.label == DEFECTIVE else "No."
    if task is Task.yes_no or not boxes:
        return verdict
    places = [f"{{'bbox_2d': {box}, 'label': '{label}'}}" for box, label in boxes]
    return f"{verdict} {', '.join(places)}"


class PromptBuilder:
    """Builds prompts with a model's tokenizer and image processor."""

    def __init__(self, model_path: str, config: DataConfig) -> None:
        self._config = config
        self.max_pixels = config.max_pixels
        self._tokenizer = _load(AutoTokenizer, model_path, "tokenizer")
        self._processor = _load(AutoImageProcessor, model_path, "image processor (preprocessor_config.json)")
        self._family = family_of(model_path)
        self._placeholder = self._tokenizer.convert_tokens_to_ids(self._family.placeholder)
        words = "|".join(map(re.escape, config.anomaly_words))
        self._anomaly_words = re.compile(rf"\b(?:{words})\b" if words else r"(?!)", re.IGNORECASE)
        self._check_model(model_path)

    def build(self, sample: Sample) -> Prompt:
        """Return the prompt, its images read from their files."""
        return self.assemble(sample, [open_image(path) for path in sample.images])

    def assemble(self, sample: Sample, images: list[Image.Image]) -> Prompt:
        """Return the prompt; a UserError names the sample if its image tokens do not match its images."""
        pixels = self._process([self._squared(image) for image in images]) if images else None
        counts = pixels.num_tokens if pixels else []
        text = self._expand(self.chat(sample), counts)
        encoded = self._tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        token_ids = encoded["input_ids"]
        spans = _runs(token_ids, self._placeholder)
        if [end - start for start, end in spans] != counts:
            raise UserError(
                f"sample {sample.id}: its text holds image tokens of its own; remove {self._family.placeholder} from it"
            )
        size = _size_seen(pixels, self._processor.patch_size) if pixels else (0, 0)
        return Prompt(
            sample=sample,
            token_ids=tuple(token_ids),
            pixels=pixels,
            image_spans=spans,
            image_size=size,
            target=_rescaled(sample.target, images[-1].size, size) if images else sample.target,
            anomaly_tokens=_tokens_of(self._anomaly_words, text, encoded["offset_mapping"]),
        )

    def encode_answer(self, text: str) -> tuple[int, ...]:
        """Return the tokens of an answer that is taught, including the end of the turn."""
        return (*self._tokenizer.encode(text, add_special_tokens=False), self._tokenizer.eos_token_id)

    @cached_property
    def vocabulary(self) -> dict[str, int]:
        """Id of each token, by the token as the vocabulary writes it."""
        vocabulary: dict[str, int] = self._tokenizer.get_vocab()
        return vocabulary

    def names(self, token_ids: Sequence[int]) -> list[str]:
        """Return the tokens as the vocabulary writes them, and "" for special ones, which no text shows."""
        return names_of(self._tokenizer, token_ids)

    def pieces(self, token_ids: Sequence[int]) -> list[str]:
        """Return the text that each token adds to a completion."""
        return pieces(self.names(token_ids))

    def names_anomaly(self, sample: Sample) -> bool:
        """Return True if the prompt holds one of data.anomaly_words."""
        return bool(self._anomaly_words.search(self.chat(sample)))

    def num_text_tokens(self, sample: Sample) -> int:
        """Return the length of the sample's prompt without its image tokens."""
        text = self._tokenizer.encode(self.chat(sample), add_special_tokens=False)
        return len(text) - len(sample.images)

    def num_image_tokens(self, path: Path, size: Size) -> int:
        """Return the number of tokens of an image; a UserError names its path if its shape is too long and thin."""
        width, height = (self._config.square,) * 2 if self._config.square else size
        limits = {"min_pixels": self._config.min_pixels, "max_pixels": self._config.max_pixels}
        try:
            patches: int = self._processor.get_number_of_image_patches(height, width, limits)
        except ValueError as error:
            raise UserError(f"{path}: the image is {width}x{height} ({error}); cut it") from error
        return patches // self._family.merge_size**2

    def chat(self, sample: Sample) -> str:
        """Return the chat up to the assistant's answer, with one placeholder per image."""
        *before, asked = self.messages(sample)
        images = self._family.image * len(sample.images)
        return self._render([*before, {**asked, "content": images + asked["content"]}])

    def messages(self, sample: Sample) -> list[dict[str, str]]:
        """Return the messages of the chat by role, without the images, which stand before the words of the last one."""
        if self._config.instructions is Instructions.none:
            return [{"role": "user", "content": sample.question}]
        words = WORDS[sample.task]
        return [
            {"role": "system", "content": words.system},
            {"role": "user", "content": f"{sample.question}\n{words.below}"},
        ]

    def _check_model(self, model_path: str) -> None:
        """Raise a UserError for a model folder whose files load but make no prompts."""
        # Without tokenizer.json, transformers makes up a tokenizer that drops every word.
        words = self._tokenizer.decode(self._tokenizer.encode(WORD, add_special_tokens=False))
        family = self._family
        image = self._tokenizer.encode(family.placeholder, add_special_tokens=False)
        if words != WORD or image != [self._placeholder]:
            raise UserError(
                f"{model_path}: no tokenizer with words and {family.placeholder} in this model folder (tokenizer.json, "
                "tokenizer_config.json); copy it from the base model"
            )
        try:
            chat = self._render([{"role": "user", "content": family.image}])
        except Exception as error:  # A template is a program.
            raise UserError(f"{model_path}: {NO_TEMPLATE}") from error
        if chat.count(family.image) != 1:
            raise UserError(f"{model_path}: {NO_TEMPLATE}")

    def _render(self, messages: list[dict[str, str]]) -> str:
        return self._tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)

    def _squared(self, image: Image.Image) -> Image.Image:
        side = self._config.square
        return image.resize((side, side), Image.Resampling.BICUBIC) if side else image

    def _process(self, images: list[Image.Image]) -> Pixels:
        size = {"shortest_edge": self._config.min_pixels, "longest_edge": self._config.max_pixels}
        features = self._processor(images=images, size=size, return_tensors="np")
        grid = tuple((int(t), int(h), int(w)) for t, h, w in features["image_grid_thw"])
        return Pixels(
            model_type=self._family.model_type, values=np.asarray(features["pixel_values"], np.float32), grid=grid
        )

    def _expand(self, chat: str, counts: list[int]) -> str:
        placeholder = self._family.placeholder
        pieces = chat.split(placeholder)
        if len(pieces) != len(counts) + 1:
            return chat
        return "".join(piece + placeholder * count for piece, count in zip(pieces, [*counts, 0], strict=True))


def check_prompts(samples: Sequence[Sample], builder: PromptBuilder, max_prompt_tokens: int, max_images: int) -> None:
    """Raise a UserError for the first sample whose prompt the engine would refuse, before a model is started."""
    paths = list(dict.fromkeys(path for sample in samples for path in sample.images))
    sizes = dict(zip(paths, in_threads(stated_size, paths), strict=True))
    texts: dict[tuple[str, Task, int], int] = {}
    for sample in samples:
        if len(sample.images) > max_images:
            raise UserError(
                f"sample {sample.id} has {len(sample.images)} images, more than rollout.max_images={max_images}; "
                "raise rollout.max_images"
            )
        # Question, task and number of images decide a prompt's text.
        text = sample.question, sample.task, len(sample.images)
        if text not in texts:
            texts[text] = builder.num_text_tokens(sample)
        length = texts[text] + sum(builder.num_image_tokens(path, sizes[path]) for path in sample.images)
        if length > max_prompt_tokens:
            names = " and ".join(str(path) for path in sample.images)
            raise UserError(
                f"sample {sample.id}: with {names} its prompt has {length} tokens, more than rollout.max_prompt_tokens="
                f"{max_prompt_tokens}; lower data.max_pixels={builder.max_pixels}, or raise rollout.max_prompt_tokens"
            )


def check_looks(samples: Sequence[Sample], builder: PromptBuilder, words: Sequence[str], *, read: bool) -> None:
    """Raise a UserError for the first sample without an image or, if words are `read`, without an anomaly word."""
    known: set[tuple[str, Task]] = set()
    for sample in samples:
        if not sample.images:
            raise UserError(f"sample {sample.id} has no image to look at; give it one, or leave its looks unrewarded")
        text = sample.question, sample.task
        if read and text not in known and not builder.names_anomaly(sample):
            raise UserError(
                f"sample {sample.id}: its prompt holds none of data.anomaly_words=[{','.join(words)}], by which tokens "
                "that look at a defect are found; add one of its words to them"
            )
        known.add(text)


def _load(kind: Any, model_path: str, what: str) -> Any:
    try:
        return kind.from_pretrained(model_path)
    except Exception as error:  # transformers passes on whatever its parsers raise.
        raise UserError(f"{model_path}: no {what} loads from this model folder; copy it from the base model") from error


def _runs(token_ids: list[int], wanted: int) -> tuple[tuple[int, int], ...]:
    """Return [start, end) of each run of `wanted`."""
    edges = np.flatnonzero(np.diff([0, *(int(token == wanted) for token in token_ids), 0]))
    return tuple((int(start), int(end)) for start, end in edges.reshape(-1, 2))


def _tokens_of(words: re.Pattern[str], text: str, offsets: Sequence[tuple[int, int]]) -> tuple[int, ...]:
    """Return the indices of the tokens that hold a letter of one of the words, in time linear in their number."""
    spans = [match.span() for match in words.finditer(text)]
    ends = [end for _, end in spans]
    # A token that holds a letter of any word holds one of the first word that ends after the token's start.
    nearest = [bisect_right(ends, start) for start, _ in offsets]
    return tuple(
        index
        for index, ((_, end), place) in enumerate(zip(offsets, nearest, strict=True))
        if place < len(spans) and spans[place][0] < end
    )


def _size_seen(pixels: Pixels, patch_size: int) -> tuple[int, int]:
    """Return (width, height) of the last image after the processor's resize."""
    _, height, width = pixels.grid[-1]
    return width * patch_size, height * patch_size


def _rescaled(target: Target, from_size: tuple[int, int], to_size: tuple[int, int]) -> Target:
    if from_size == to_size:
        return target
    x, y = to_size[0] / from_size[0], to_size[1] / from_size[1]
    boxes: tuple[Box, ...] = tuple((x1 * x, y1 * y, x2 * x, y2 * y) for x1, y1, x2, y2 in target.boxes)
    return replace(target, boxes=boxes)
