"""From a sample to the prompt that a model sees: chat text, tokens, and the images processed once."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import rl.torchvision_ops  # noqa: F401

import numpy as np
from PIL import Image
from transformers import AutoImageProcessor, AutoTokenizer

from rl.data.config import DataConfig, Instructions
from rl.data.images import Size, in_threads, open_image, stated_size
from rl.types import Box, Pixels, Prompt, Sample, Target

IMAGE = "<|vision_start|><|image_pad|><|vision_end|>"
IMAGE_PAD = "<|image_pad|>"
WORD = "defective"
NO_TEMPLATE = "no chat template (chat_template.jinja) that repeats what a user says; copy it from the base model"
MERGED_PATCHES = 4
"""Vision patches behind one image token (2x2)."""
# Table 2 of MMR-AD without the hints that only its teacher is given.
SYSTEM = (
    "You are a professional industrial image inspector, particularly skilled at identifying abnormal (defective) areas "
    "in images."
)
TASK = (
    "- The first image is a normal sample, and you need to carefully inspect and analyze these two images to determine "
    "if there are any anomalies (defects) in the second image.\n"
    "- If there are anomalies, return their locations in the form of coordinates.\n"
    "- You first need to think about the reasoning and analysis process in the mind and then provide us with the "
    "answer.\n"
    "- You should output the coordinate location(s) of the abnormal area(s) in the reasoning process.\n"
    "Output Format (strictly follow)\n"
    "The reasoning process and answer are enclosed within <think></think> and <answer></answer> tags, i.e., "
    "<think>reasoning and analysis process here</think><answer>Yes or No. If Yes, continue to output all locations, "
    "the format should be like {'bbox_2d': [x1, y1, x2, y2], 'label': '<anomaly type>'}</answer>."
)


def answer_text(target: Target) -> str:
    """The answer that teaches the form: the reasoning, then the verdict with its boxes in whole pixels."""
    boxes = [
        f"{{'bbox_2d': {[round(edge) for edge in box]}, 'label': '{label}'}}"
        for box, label in zip(target.boxes, target.box_labels, strict=True)
    ]
    verdict = f"Yes. {', '.join(boxes)}" if boxes else "No."
    return f"<think>{target.rationale}</think><answer>{verdict}</answer>"


class PromptBuilder:
    """Holds a model's tokenizer and image processor."""

    def __init__(self, model_path: str, config: DataConfig) -> None:
        self._config = config
        self.max_pixels = config.max_pixels
        self._tokenizer = _load(AutoTokenizer, model_path, "tokenizer")
        self._processor = _load(AutoImageProcessor, model_path, "image processor (preprocessor_config.json)")
        self._image_pad = self._tokenizer.convert_tokens_to_ids(IMAGE_PAD)
        self._check_model(model_path)

    def build(self, sample: Sample) -> Prompt:
        """The prompt, its images read from their files."""
        return self.assemble(sample, [open_image(path) for path in sample.images])

    def assemble(self, sample: Sample, images: list[Image.Image]) -> Prompt:
        """The prompt; a ValueError names the sample when its image tokens do not match its images."""
        pixels = self._process(images) if images else None
        counts = [t * h * w // MERGED_PATCHES for t, h, w in pixels.grid] if pixels else []
        token_ids = self._tokenizer.encode(self._expand(self.chat(sample), counts), add_special_tokens=False)
        spans = _runs(token_ids, self._image_pad)
        if [end - start for start, end in spans] != counts:
            raise ValueError(
                f"sample {sample.id}: its text holds other image tokens than its images; remove {IMAGE_PAD}"
            )
        size = _size_seen(pixels, self._processor.patch_size) if pixels else (0, 0)
        return Prompt(
            sample=sample,
            token_ids=tuple(token_ids),
            pixels=pixels,
            image_spans=spans,
            image_size=size,
            target=_rescaled(sample.target, images[-1].size, size) if images else sample.target,
        )

    def encode_answer(self, text: str) -> tuple[int, ...]:
        """The tokens of an answer that is taught, the end of the turn included."""
        return (*self._tokenizer.encode(text, add_special_tokens=False), self._tokenizer.eos_token_id)

    def num_text_tokens(self, sample: Sample) -> int:
        """Length of the sample's prompt without its image tokens."""
        text = self._tokenizer.encode(self.chat(sample), add_special_tokens=False)
        return len(text) - len(sample.images)

    def num_image_tokens(self, path: Path, size: Size) -> int:
        """How many tokens an image of this size becomes; the path is named when it is too long and thin."""
        width, height = size
        limits = {"min_pixels": self._config.min_pixels, "max_pixels": self._config.max_pixels}
        try:
            return self._processor.get_number_of_image_patches(height, width, limits) // MERGED_PATCHES
        except ValueError as error:
            raise ValueError(f"{path}: the image is {width}x{height} ({error}); cut it") from error

    def chat(self, sample: Sample) -> str:
        """The chat up to where the assistant answers, one placeholder an image."""
        images = IMAGE * len(sample.images)
        if self._config.instructions is Instructions.mmr_ad:
            system = [{"role": "system", "content": SYSTEM}]
            messages = [*system, {"role": "user", "content": f"{images}{sample.question}\n{TASK}"}]
        else:
            messages = [{"role": "user", "content": images + sample.question}]
        return self._render(messages)

    def _check_model(self, model_path: str) -> None:
        """Raises a ValueError for files that load and yet make no prompts."""
        # Where tokenizer.json is missing, transformers makes up a tokenizer that drops every word.
        words = self._tokenizer.decode(self._tokenizer.encode(WORD, add_special_tokens=False))
        image = self._tokenizer.encode(IMAGE_PAD, add_special_tokens=False)
        if words != WORD or image != [self._image_pad]:
            raise ValueError(
                f"{model_path}: no tokenizer with words and {IMAGE_PAD} in this model folder (tokenizer.json, "
                "tokenizer_config.json); copy it from the base model"
            )
        try:
            chat = self._render([{"role": "user", "content": IMAGE}])
        except Exception as error:  # A template is a program.
            raise ValueError(f"{model_path}: {NO_TEMPLATE}") from error
        if chat.count(IMAGE) != 1:
            raise ValueError(f"{model_path}: {NO_TEMPLATE}")

    def _render(self, messages: list[dict[str, str]]) -> str:
        return self._tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)

    def _process(self, images: list[Image.Image]) -> Pixels:
        size = {"shortest_edge": self._config.min_pixels, "longest_edge": self._config.max_pixels}
        features = self._processor(images=images, size=size, return_tensors="np")
        grid = tuple((int(t), int(h), int(w)) for t, h, w in features["image_grid_thw"])
        return Pixels(values=np.asarray(features["pixel_values"], np.float32), grid=grid)

    def _expand(self, chat: str, counts: list[int]) -> str:
        pieces = chat.split(IMAGE_PAD)
        if len(pieces) != len(counts) + 1:
            return chat
        return "".join(piece + IMAGE_PAD * count for piece, count in zip(pieces, [*counts, 0], strict=True))


def check_prompts(samples: Sequence[Sample], builder: PromptBuilder, max_prompt_tokens: int, max_images: int) -> None:
    """Raises a ValueError for the first sample that the engine would refuse, before a model is started."""
    paths = list(dict.fromkeys(path for sample in samples for path in sample.images))
    sizes = dict(zip(paths, in_threads(stated_size, paths), strict=True))
    texts: dict[tuple[str, int], int] = {}
    for sample in samples:
        if len(sample.images) > max_images:
            raise ValueError(
                f"sample {sample.id} has {len(sample.images)} images, more than rollout.max_images={max_images}; "
                "raise rollout.max_images"
            )
        # A prompt's text is its question's.
        text = sample.question, len(sample.images)
        if text not in texts:
            texts[text] = builder.num_text_tokens(sample)
        length = texts[text] + sum(builder.num_image_tokens(path, sizes[path]) for path in sample.images)
        if length > max_prompt_tokens:
            names = " and ".join(str(path) for path in sample.images)
            raise ValueError(
                f"sample {sample.id}: with {names} its prompt has {length} tokens, more than rollout.max_prompt_tokens="
                f"{max_prompt_tokens}; lower data.max_pixels={builder.max_pixels}, or raise rollout.max_prompt_tokens"
            )


def _load(kind: Any, model_path: str, what: str) -> Any:
    try:
        return kind.from_pretrained(model_path)
    except Exception as error:  # transformers lets whatever its readers raise pass.
        raise ValueError(
            f"{model_path}: no {what} loads from this model folder; copy it from the base model"
        ) from error


def _runs(token_ids: list[int], wanted: int) -> tuple[tuple[int, int], ...]:
    """[start, end) of each run of `wanted`."""
    edges = np.flatnonzero(np.diff([0, *(int(token == wanted) for token in token_ids), 0]))
    return tuple((int(start), int(end)) for start, end in edges.reshape(-1, 2))


def _size_seen(pixels: Pixels, patch_size: int) -> tuple[int, int]:
    """(width, height) of the last image after the processor's resize."""
    _, height, width = pixels.grid[-1]
    return width * patch_size, height * patch_size


def _rescaled(target: Target, from_size: tuple[int, int], to_size: tuple[int, int]) -> Target:
    if from_size == to_size:
        return target
    x, y = to_size[0] / from_size[0], to_size[1] / from_size[1]
    boxes: tuple[Box, ...] = tuple((x1 * x, y1 * y, x2 * x, y2 * y) for x1, y1, x2, y2 in target.boxes)
    return replace(target, boxes=boxes)
