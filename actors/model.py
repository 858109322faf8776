"""The model as the learner uses it: a micro-batch of groups in, log-probs of the sampled tokens out."""

from dataclasses import dataclass
from typing import Any

import rl.import_fixes  # noqa: F401

import torch
import torch.distributed as dist
from safetensors import SafetensorError
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.nn.functional import linear
from torch.utils.checkpoint import checkpoint
from transformers import AutoModelForImageTextToText, PreTrainedModel

from actors.config import LoraConfig, ModelConfig, Precision
from actors.families import LANGUAGE_INPUTS
from actors.model_folder import check_folder
from rl.batching import GroupBatch
from rl.family import FAMILIES
from rl.faults import UserError
from rl.truncation import KEEPS_ALL, Truncation, truncated
from rollout.attention import TAPPED, Tap

CHUNK_TOKENS = 1024
"""Tokens whose logits exist at once: 150,000 words times all tokens of a batch would not fit."""


@dataclass(frozen=True, kw_only=True)
class TokenStats:
    """Numbers of each sampled token, [completions, tokens]; 0 where there is no token."""

    logprobs: torch.Tensor
    entropy: torch.Tensor


class PolicyModel(nn.Module):
    """The transformers model, run so that a group's prompt and images pass once."""

    def __init__(
        self,
        hf: PreTrainedModel,
        *,
        temperature: float,
        banned_token_ids: tuple[int, ...],
        truncation: Truncation = KEEPS_ALL,
    ) -> None:
        super().__init__()
        self.hf = hf
        self._language_inputs = LANGUAGE_INPUTS[hf.config.model_type]
        self._temperature, self._truncation = temperature, truncation
        self.register_buffer("_banned", torch.tensor(banned_token_ids, dtype=torch.long), persistent=False)

    def forward(self, batch: GroupBatch, tap: Tap | None = None) -> TokenStats:
        """Return the stats of the sampled tokens; a tap sees where they look, in a pass without gradient."""
        inputs = self._language_inputs(self.hf, batch)
        hidden = self.hf.model.language_model(**inputs, use_cache=False, tap=tap).last_hidden_state
        logprobs, entropy = self._token_stats(hidden.flatten(0, 1)[batch.sources], batch.labels)
        return TokenStats(logprobs=batch.spread(logprobs), entropy=batch.spread(entropy))

    def _token_stats(self, hidden: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        chunks = [
            checkpoint(self._chunk_stats, part, wanted, use_reentrant=False)
            for part, wanted in zip(hidden.split(CHUNK_TOKENS), labels.split(CHUNK_TOKENS), strict=True)
        ]
        logprobs, entropies = zip(*chunks, strict=True)
        return torch.cat(logprobs), torch.cat(entropies)

    def _chunk_stats(self, hidden: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return log-probs and entropy under the engine's distribution: its temperature, its tokens left out."""
        logits = linear(hidden, self.hf.lm_head.weight).float() / self._temperature
        allowed = logits.index_fill(-1, self._banned, float("-inf"))
        logprobs = truncated(allowed, labels, self._truncation).log_softmax(-1)
        taken = logprobs.gather(-1, labels[:, None])[:, 0]
        # Placed last: recomputation stops after the last tensor that needs gradient, so it skips the entropy.
        with torch.no_grad():
            # A banned token would add 0 * -inf.
            entropy = -(logprobs.exp() * logprobs.clamp_min(torch.finfo(logprobs.dtype).min)).sum(-1)
        return taken, entropy


def load_model(config: ModelConfig, dtype: torch.dtype = torch.float32) -> PreTrainedModel:
    """Load the checkpoint, its frozen parts frozen; learners hold fp32 whatever the precision of their passes."""
    check_folder(config.path)
    try:
        model = AutoModelForImageTextToText.from_pretrained(
            config.path, dtype=dtype, attn_implementation={"text_config": TAPPED, "vision_config": "sdpa"}
        )
    except (OSError, SafetensorError) as error:
        raise UserError(f"{config.path}: its weights cannot be read ({error}); copy the checkpoint anew") from error
    tower, projector = _vision_parts(model)
    tower.requires_grad_(not config.freeze_vision)
    projector.requires_grad_(not config.freeze_projector)
    if config.gradient_checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    return model


def with_lora(model: PreTrainedModel, config: LoraConfig) -> Any:
    """Put adapters into the language model, in place; vision parts that were to learn still do."""
    # Imported by runs with adapters alone.
    from peft import LoraConfig as PeftConfig
    from peft import get_peft_model

    vision = [parameter for part in _vision_parts(model) for parameter in part.parameters()]
    learns = [parameter for parameter in vision if parameter.requires_grad]
    targets = FAMILIES[model.config.model_type].lora_targets
    adapted = get_peft_model(
        model,
        PeftConfig(r=config.rank, lora_alpha=config.alpha, lora_dropout=config.dropout, target_modules=targets),
    )
    for parameter in learns:
        parameter.requires_grad_(True)
    return adapted


def _vision_parts(model: PreTrainedModel) -> tuple[nn.Module, nn.Module]:
    """Return the vision tower and the projector, which may be a part of it."""
    family = FAMILIES[model.config.model_type]
    return model.get_submodule(family.vision_tower), model.get_submodule(family.projector)


def shard(model: PolicyModel, precision: Precision, on: torch.device) -> None:
    """Shard each block of the family on its own and the rest at the root (FSDP2); move each to the device in turn."""
    mesh = init_device_mesh(on.type, (dist.get_world_size(),))
    policy = MixedPrecisionPolicy()
    if precision is Precision.bf16:
        # Casting what goes in would round the rotary tables, which everyone else has in fp32.
        policy = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32, cast_forward_inputs=False)
    for path in FAMILIES[model.hf.config.model_type].blocks:
        for block in model.hf.get_submodule(path):
            fully_shard(block, mesh=mesh, mp_policy=policy)
    fully_shard(model, mesh=mesh, mp_policy=policy)
