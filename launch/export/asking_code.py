"""The part of a model card that says how to ask the model: its prompt, and the code that reproduces an answer."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rl.asking import FILE, asking_of
from rl.data.config import DataConfig, Instructions
from rl.data.prompts import PromptBuilder
from rl.data.questions import NO_DEFECT, QUESTIONS, WITH_OPTIONS, with_options
from rl.types import Sample, Target, Task
from rollout.config import RolloutConfig

REFERENCE, INSPECTED = "normal.jpg", "inspected.jpg"
EXAMPLE = {"A": "scratch", "B": NO_DEFECT}
STAND_INS = "The options in the prompt are examples: write those of your own question in their place."
TRANSFORMERS = """\
from PIL import Image, ImageOps
from transformers import AutoModelForImageTextToText, AutoProcessor

folder, photos = {folder!r}, {photos!r}
images = [ImageOps.exif_transpose(Image.open(photo)).convert("RGB"){resized} for photo in photos]
prompt = {prompt!r}
processor = AutoProcessor.from_pretrained(folder)
model = AutoModelForImageTextToText.from_pretrained(folder, dtype="auto")
inputs = processor(text=[prompt], images=images, size={size!r}, return_tensors="pt")
tokens = model.generate(**inputs, max_new_tokens={max_tokens}, do_sample=False)
print(processor.decode(tokens[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True))
"""
VLLM = """\
from PIL import Image, ImageOps
from vllm import LLM, SamplingParams

folder, photos = {folder!r}, {photos!r}
images = [ImageOps.exif_transpose(Image.open(photo)).convert("RGB"){resized} for photo in photos]
prompt = {prompt!r}
llm = LLM(folder, max_model_len={max_length}, mm_processor_kwargs={{"size": {size!r}}})
question = {{"prompt": prompt, "multi_modal_data": {{"image": images}}}}
answers = llm.generate(question, SamplingParams(temperature=0, max_tokens={max_tokens}))
print(answers[0].outputs[0].text)
"""


def asking_section(config: Mapping[str, Mapping[str, Any]], model: Path, name: str) -> list[str]:
    """Return the section's lines about the model in the folder `model`, which the code calls by `name`."""
    data, asking = _data(config), asking_of(config)
    rollout = RolloutConfig()
    max_tokens = asking.get("rollout.max_response_tokens", rollout.max_response_tokens)
    values = {
        "folder": name,
        "photos": [REFERENCE, INSPECTED] if data.with_reference else [INSPECTED],
        "resized": f".resize(({data.square}, {data.square}), Image.Resampling.BICUBIC)" if data.square else "",
        "prompt": PromptBuilder(str(model), data).chat(_sample(data)),
        "size": {"shortest_edge": data.min_pixels, "longest_edge": data.max_pixels},
        "max_tokens": max_tokens,
        "max_length": asking.get("rollout.max_prompt_tokens", rollout.max_prompt_tokens) + max_tokens,
    }
    shown = "a normal image, then the inspected one" if data.with_reference else "the inspected image alone"
    return [
        "## How to ask it",
        "",
        f"It was trained to be shown {shown}, with the words below. `assay predict model={name}` asks it in this way "
        f"by itself: its settings are in `{FILE}`.",
        *([STAND_INS] if data.task in WITH_OPTIONS else []),
        "",
        f"In transformers:\n\n```python\n{TRANSFORMERS.format_map(values)}```",
        "",
        f"In vLLM:\n\n```python\n{VLLM.format_map(values)}```",
        "",
    ]


def _data(config: Mapping[str, Mapping[str, Any]]) -> DataConfig:
    """Return the data config of a record, as far as a model is asked by it."""
    prefix = "data."
    asked = {key.removeprefix(prefix): value for key, value in asking_of(config).items() if key.startswith(prefix)}
    enums = {
        name: kind(asked[name]) for name, kind in (("task", Task), ("instructions", Instructions)) if name in asked
    }
    return DataConfig(**(asked | enums))


def _sample(data: DataConfig) -> Sample:
    question = data.question or QUESTIONS[data.task]
    return Sample(
        id="example",
        images=(Path(REFERENCE), Path(INSPECTED)) if data.with_reference else (Path(INSPECTED),),
        question=with_options(question, EXAMPLE) if data.task in WITH_OPTIONS else question,
        target=Target(label=""),
        category="",
        task=data.task,
    )
