"""The facts about each family of models; its code is in actors/families.py and rollout/families.py.

This file imports neither torch nor transformers, so that every process can read it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

Grid = tuple[tuple[int, int, int], ...]
"""(t, height, width) of each image of a prompt."""
Spans = Sequence[tuple[int, int]]
"""[start, end) of each image's placeholders in a prompt."""


def text_positions(length: int) -> np.ndarray:
    """Return the [3, length] (time, height, width) positions of text."""
    return np.tile(np.arange(length), (3, 1))


def plane_positions(length: int, spans: Spans, grid: Grid) -> np.ndarray:
    """Return [3, length] positions: text counts on, an image (its grid in tokens) spans a plane of height and width.

    >>> plane_positions(6, [(1, 5)], ((1, 2, 2),)).tolist()
    [[0, 1, 1, 1, 1, 3], [0, 1, 1, 2, 2, 3], [0, 1, 2, 1, 2, 3]]
    """
    pieces, position, done = [], 0, 0
    for (begin, end), (_, rows, columns) in zip(spans, grid, strict=True):
        pieces.append(position + text_positions(begin - done))
        position += begin - done
        pieces.append(position + np.indices((1, rows, columns)).reshape(3, -1))
        position, done = position + max(rows, columns), end
    pieces.append(position + text_positions(length - done))
    return np.concatenate(pieces, axis=1)


@dataclass(frozen=True, kw_only=True)
class Family:
    """A family of models; paths and names of parts are those of transformers."""

    model_type: str
    """`model_type` of its config.json."""
    name: str
    """Its name in sentences."""
    image: str
    """Text that stands for one image in a chat."""
    placeholder: str
    """Token in `image` that is repeated, once for each image token."""
    never_sampled: tuple[str, ...]
    """Tokens that stand for images: a sampled one would claim pixels that its sequence does not have."""
    merge_size: int
    """Vision patches along each side of one image token."""
    positions: Callable[[int, Spans, Grid], np.ndarray]
    """Makes the [3, length] positions of a prompt from its length, its image spans and their grid in tokens."""
    vision_tower: str
    """Path of the module that model.freeze_vision keeps fixed, but for its projector."""
    projector: str
    """Path of the module that model.freeze_projector keeps fixed, inside the vision tower or beside it."""
    blocks: tuple[str, ...]
    """Paths of the lists of decoder layers and vision blocks, which FSDP shards one by one."""
    lora_targets: str
    """Regular expression of the modules that get an adapter."""
    embedding: str
    """Name of the input embedding's weight."""
    output_layer: str
    """Name of the output layer's weight, which may be tied to the embedding."""


QWEN2_5_VL = Family(
    model_type="qwen2_5_vl",
    name="Qwen2.5-VL",
    image="<|vision_start|><|image_pad|><|vision_end|>",
    placeholder="<|image_pad|>",
    never_sampled=("<|vision_start|>", "<|vision_end|>", "<|vision_pad|>", "<|image_pad|>", "<|video_pad|>"),
    merge_size=2,
    positions=plane_positions,
    vision_tower="model.visual",
    projector="model.visual.merger",
    blocks=("model.language_model.layers", "model.visual.blocks"),
    lora_targets=r"model\.language_model\..*\.(q|k|v|o|gate|up|down)_proj",
    embedding="model.language_model.embed_tokens.weight",
    output_layer="lm_head.weight",
)

FAMILIES: dict[str, Family] = {
    "qwen2_5_vl": QWEN2_5_VL,
}
"""Each family that can be trained, by its model_type."""


def family_names() -> str:
    """Return the names of all families, for sentences."""
    return " or ".join(family.name for family in FAMILIES.values())
