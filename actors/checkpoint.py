"""Weights out of the learner: full tensors under transformers' names, and folders that load anywhere."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import rl.import_fixes  # noqa: F401

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor
from transformers import AutoModelForImageTextToText, AutoProcessor, PreTrainedModel

PREFIX = "hf."
"""Prefix of the HF model's weights in PolicyModel."""
State = dict[str, torch.Tensor]


def gathered_state(model: nn.Module, *, trained_only: bool) -> State:
    """Return the weights on rank 0, on the CPU; {} on the other ranks, which must call it too."""
    options = StateDictOptions(full_state_dict=True, cpu_offload=True, ignore_frozen_params=trained_only)
    state = get_model_state_dict(model, options=options)
    return {name.removeprefix(PREFIX): tensor for name, tensor in state.items()}


def published_state(model: nn.Module) -> State:
    """Return all weights on rank 0's CPU, in the precision of the passes; {} on other ranks, which must call it too.

    One collective a sharded module instead of one a tensor: ten times as fast for a small model as `gathered_state`.
    """
    state: State = {}
    for path, module in model.named_modules():
        if isinstance(module, FSDPModule):
            module.unshard()
            if dist.get_rank() == 0:
                # Unsharded parameters are plain tensors; DTensors belong to FSDP modules inside, which have their turn.
                whole = {
                    f"{path}.{name}": value
                    for name, value in module.named_parameters(remove_duplicate=False)
                    if not isinstance(value, DTensor)
                }
                # The root's path is "", so its names begin with a dot.
                state |= {
                    name.lstrip(".").removeprefix(PREFIX): value.detach().to("cpu", copy=True)
                    for name, value in whole.items()
                }
            module.reshard()
    return state


def merged_state(state: State, model: nn.Module, dtype: torch.dtype) -> State:
    """Return a copy of the weights with each adapter added to its matrix: W + scaling * B A."""
    merged = {
        # One rank's gathered tensors are the parameters themselves, which the next step changes.
        name.replace(".base_layer.", "."): tensor.to(dtype, copy=True)
        for name, tensor in state.items()
        if ".lora_" not in name
    }
    if len(merged) == len(state):
        return merged
    # Imported where there is an adapter: processes without one start sooner.
    from peft.tuners.lora import LoraLayer

    for path, layer in model.named_modules():
        if isinstance(layer, LoraLayer):
            name = path.removeprefix(PREFIX)
            matrices = (f"{name}.base_layer.weight", f"{name}.lora_B.default.weight", f"{name}.lora_A.default.weight")
            # In fp32, where a small change is not yet rounded off.
            base, up, down = (state[matrix].float() for matrix in matrices)
            full = base + layer.scaling["default"] * (up @ down)
            merged[f"{name}.weight"] = full.to(dtype)
    return merged


def save_folder(state: State, like: PreTrainedModel, base: str, folder: Path) -> None:
    """Write a whole checkpoint: weights, the model's config, and the base checkpoint's tokenizer and processor."""
    with torch.device("meta"):
        model = type(like)(deepcopy(like.config))
    model.load_state_dict(state, assign=True)
    model.tie_weights()
    model.config.dtype = next(iter(state.values())).dtype
    model.generation_config = like.generation_config
    model.save_pretrained(folder)
    AutoProcessor.from_pretrained(base).save_pretrained(folder)


def save_adapter(state: State, adapted: Any, folder: Path) -> None:
    """Write the adapter alone, as peft loads it."""
    from peft import get_peft_model_state_dict

    prefixed = {f"base_model.model.{name}": tensor for name, tensor in state.items()}
    adapted.save_pretrained(folder, state_dict=get_peft_model_state_dict(adapted, state_dict=prefixed))


def write_merged(base: str, adapter: Path, precision: str, folder: Path) -> None:
    """Merge an adapter into the base checkpoint and write a whole checkpoint."""
    from peft import PeftModel

    model = AutoModelForImageTextToText.from_pretrained(base, dtype=torch.float32)
    merged = PeftModel.from_pretrained(model, adapter).merge_and_unload()
    merged.to(getattr(torch, precision)).save_pretrained(folder)
    AutoProcessor.from_pretrained(base).save_pretrained(folder)
