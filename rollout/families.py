"""The code of each model family in vLLM: a prompt's images in vLLM's own form.

Only rollout/engine.py imports it, after it has set what vLLM reads on import.
"""

import hashlib
from collections.abc import Callable

import torch
from transformers import BatchFeature
from vllm.inputs.engine import EngineInput, mm_input
from vllm.multimodal.inputs import MultiModalFieldConfig, MultiModalKwargsItems, PlaceholderRange

from rl.types import Prompt


def grid_input(prompt: Prompt) -> EngineInput:
    """Return a prompt with images as the processor of a model that takes patches and their grid would make it."""
    grid = torch.tensor(prompt.pixels.grid)
    values = torch.as_tensor(prompt.pixels.values)
    return mm_input(
        list(prompt.token_ids),
        mm_kwargs=MultiModalKwargsItems.from_hf_inputs(
            BatchFeature({"pixel_values": values, "image_grid_thw": grid}),
            {
                "pixel_values": MultiModalFieldConfig.flat_from_sizes("image", grid.prod(-1)),
                "image_grid_thw": MultiModalFieldConfig.batched("image", keep_on_cpu=True),
            },
        ),
        mm_hashes={"image": _image_hashes(values, grid)},
        mm_placeholders={
            "image": [PlaceholderRange(offset=start, length=end - start) for start, end in prompt.image_spans]
        },
    )


def _image_hashes(values: torch.Tensor, grid: torch.Tensor) -> list[str]:
    """Name each image by its content: vLLM encodes an image once, however many prompts hold it."""
    images = values.split(grid.prod(-1).tolist())
    return [
        hashlib.sha256(bytes(str(shape), "ascii") + image.numpy().tobytes()).hexdigest()
        for image, shape in zip(images, grid.tolist(), strict=True)
    ]


IMAGE_INPUTS: dict[str, Callable[[Prompt], EngineInput]] = {
    "qwen2_5_vl": grid_input,
}
"""By model_type, the function that makes the engine's input of a prompt with images."""
