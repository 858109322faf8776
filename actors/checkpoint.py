"""Weights out of the learner: full tensors under transformers' names, and folders that load anywhere."""

import shutil
from pathlib import Path

import rl.torchvision_ops  # noqa: F401

import torch
from peft import PeftModel, get_peft_model_state_dict
from peft.tuners.lora import LoraLayer
from torch import nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from transformers import AutoConfig, GenerationConfig, Qwen2_5_VLForConditionalGeneration

WEIGHTS = ("*.safetensors", "*.bin", "*.index.json", "*.pt", "*.pth")
PREFIX = "hf."
"""Where PolicyModel holds the HF model."""
State = dict[str, torch.Tensor]


def gathered_state(model: nn.Module) -> State:
    """All weights on rank 0, on the CPU; {} on the other ranks, which must call it too."""
    options = StateDictOptions(full_state_dict=True, cpu_offload=True)
    state = get_model_state_dict(model, options=options)
    return {name.removeprefix(PREFIX): tensor for name, tensor in state.items()}


def merged_state(state: State, model: nn.Module) -> State:
    """The same weights with each adapter added to the matrix it adapts: W + scaling * B A."""
    scaling = {
        name.removeprefix(PREFIX): layer.scaling["default"]
        for name, layer in model.named_modules()
        if isinstance(layer, LoraLayer)
    }
    merged = {name: tensor for name, tensor in state.items() if ".lora_" not in name and ".base_layer." not in name}
    for name, factor in scaling.items():
        up, down = state[f"{name}.lora_B.default.weight"], state[f"{name}.lora_A.default.weight"]
        merged[f"{name}.weight"] = state[f"{name}.base_layer.weight"] + factor * (up @ down)
        if f"{name}.base_layer.bias" in state:
            merged[f"{name}.bias"] = state[f"{name}.base_layer.bias"]
    return merged


def save_folder(state: State, base: str, folder: Path, dtype: torch.dtype) -> None:
    """A checkpoint of its own: weights, config, and the base model's tokenizer and processor files."""
    config = AutoConfig.from_pretrained(base)
    with torch.device("meta"):
        model = Qwen2_5_VLForConditionalGeneration(config)
    model.load_state_dict({name: tensor.to(dtype) for name, tensor in state.items()}, assign=True)
    model.tie_weights()
    model.config.dtype = dtype
    model.generation_config = GenerationConfig.from_pretrained(base)
    folder.mkdir(parents=True, exist_ok=True)
    if Path(base).is_dir():
        shutil.copytree(base, folder, ignore=shutil.ignore_patterns(*WEIGHTS), dirs_exist_ok=True)
    model.save_pretrained(folder)


def save_adapter(state: State, adapted: PeftModel, folder: Path) -> None:
    """The adapter alone, as peft loads it."""
    prefixed = {f"base_model.model.{name}": tensor for name, tensor in state.items()}
    adapted.save_pretrained(folder, state_dict=get_peft_model_state_dict(adapted, state_dict=prefixed))
