"""Qwen2.5-VL as the learner uses it: a micro-batch of groups in, log-probs of the sampled tokens out."""

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
from transformers import Qwen2_5_VLForConditionalGeneration

from actors.config import LoraConfig, ModelConfig, Precision
from actors.model_folder import check_folder
from rl.batching import GroupBatch, tree_mask
from rl.faults import UserError
from rollout.attention import TAPPED, Tap

CHUNK_TOKENS = 1024
"""Tokens whose logits exist at once: 150,000 words times all tokens of a batch would not fit."""
LORA_TARGETS = r"model\.language_model\..*\.(q|k|v|o|gate|up|down)_proj"
BLANK_GRID = (1, 2, 2)
"""The smallest image, encoded where a micro-batch has none, because the other ranks' collectives expect it."""


@dataclass(frozen=True, kw_only=True)
class TokenStats:
    """Of each sampled token, [completions, tokens]; 0 where there is none."""

    logprobs: torch.Tensor
    entropy: torch.Tensor


class PolicyModel(nn.Module):
    """The HF model, run so that a group's prompt and images pass once."""

    def __init__(
        self, hf: Qwen2_5_VLForConditionalGeneration, *, temperature: float, banned_token_ids: tuple[int, ...]
    ) -> None:
        super().__init__()
        self.hf = hf
        self._temperature = temperature
        self.register_buffer("_banned", torch.tensor(banned_token_ids, dtype=torch.long), persistent=False)

    def forward(self, batch: GroupBatch, tap: Tap | None = None) -> TokenStats:
        """A tap sees where the tokens look, in a pass without gradient."""
        embeds = self._with_images(self.hf.model.language_model.embed_tokens(batch.ids), batch)
        # Added to the scores as numbers once; a bool mask would be turned into numbers by every layer.
        mask = embeds.new_zeros(1).where(tree_mask(batch.branches, batch.segments)[:, None], float("-inf"))
        hidden = self.hf.model.language_model(
            inputs_embeds=embeds,
            attention_mask={"full_attention": mask, "sliding_attention": mask},
            position_ids=batch.positions,
            use_cache=False,
            tap=tap,
        ).last_hidden_state
        logprobs, entropy = self._token_stats(hidden.flatten(0, 1)[batch.sources], batch.labels)
        return TokenStats(logprobs=batch.spread(logprobs), entropy=batch.spread(entropy))

    def _with_images(self, embeds: torch.Tensor, batch: GroupBatch) -> torch.Tensor:
        """Image features in place of their placeholders; features of no image leave the embeddings as they are."""
        visual = self.hf.model.visual
        learns = any(parameter.requires_grad for parameter in visual.parameters())
        pixels, grid = batch.pixels, batch.grid
        if pixels is None:
            pixels = embeds.new_zeros(BLANK_GRID[1] * BLANK_GRID[2], visual.patch_embed.proj.weight[0].numel())
            grid = torch.tensor([BLANK_GRID], device=embeds.device)
        with torch.set_grad_enabled(learns and torch.is_grad_enabled()):
            features = visual(pixels.to(embeds.dtype), grid_thw=grid).pooler_output.to(embeds.dtype)
        if batch.pixels is None:
            return embeds + 0.0 * features.sum()
        return embeds.masked_scatter(batch.image_tokens[..., None], features)

    def _token_stats(self, hidden: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        chunks = [
            checkpoint(self._chunk_stats, part, wanted, use_reentrant=False)
            for part, wanted in zip(hidden.split(CHUNK_TOKENS), labels.split(CHUNK_TOKENS), strict=True)
        ]
        logprobs, entropies = zip(*chunks, strict=True)
        return torch.cat(logprobs), torch.cat(entropies)

    def _chunk_stats(self, hidden: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Under the distribution that the engine samples from: same temperature, same tokens left out."""
        logits = linear(hidden, self.hf.lm_head.weight).float() / self._temperature
        logprobs = logits.index_fill(-1, self._banned, float("-inf")).log_softmax(-1)
        taken = logprobs.gather(-1, labels[:, None])[:, 0]
        # After all that needs gradient: the backward pass recomputes only so far.
        with torch.no_grad():
            # A banned token would add 0 * -inf.
            entropy = -(logprobs.exp() * logprobs.clamp_min(torch.finfo(logprobs.dtype).min)).sum(-1)
        return taken, entropy


def load_model(config: ModelConfig, dtype: torch.dtype = torch.float32) -> Qwen2_5_VLForConditionalGeneration:
    """The checkpoint with its frozen parts frozen; learners hold fp32 whatever the precision of their passes."""
    check_folder(config.path)
    try:
        model = Qwen2_5_VLForConditionalGeneration.from_pretrained(
            config.path, dtype=dtype, attn_implementation={"text_config": TAPPED, "vision_config": "sdpa"}
        )
    except (OSError, SafetensorError) as error:
        raise UserError(f"{config.path}: its weights cannot be read ({error}); copy the checkpoint anew") from error
    projector = {id(parameter) for parameter in model.model.visual.merger.parameters()}
    for parameter in model.model.visual.parameters():
        frozen = config.freeze_projector if id(parameter) in projector else config.freeze_vision
        parameter.requires_grad_(not frozen)
    if config.gradient_checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    return model


def with_lora(model: Qwen2_5_VLForConditionalGeneration, config: LoraConfig) -> Any:
    """Puts adapters into the language model, in place; a vision tower that was to learn still does."""
    # Imported by runs with adapters alone.
    from peft import LoraConfig as PeftConfig
    from peft import get_peft_model

    learns = [parameter for parameter in model.model.visual.parameters() if parameter.requires_grad]
    adapted = get_peft_model(
        model,
        PeftConfig(r=config.rank, lora_alpha=config.alpha, lora_dropout=config.dropout, target_modules=LORA_TARGETS),
    )
    for parameter in learns:
        parameter.requires_grad_(True)
    return adapted


def shard(model: PolicyModel, precision: Precision, on: torch.device) -> None:
    """FSDP2: each decoder layer and vision block on its own, the rest at the root; moves each to the device in turn."""
    mesh = init_device_mesh(on.type, (dist.get_world_size(),))
    policy = MixedPrecisionPolicy()
    if precision is Precision.bf16:
        # Casting what goes in would round the rotary tables, which everyone else has in fp32.
        policy = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32, cast_forward_inputs=False)
    for block in (*model.hf.model.language_model.layers, *model.hf.model.visual.blocks):
        fully_shard(block, mesh=mesh, mp_policy=policy)
    fully_shard(model, mesh=mesh, mp_policy=policy)
