"""Attention of generated tokens: chosen rows and columns, taken inside the fused forward pass.

A fused kernel never forms the attention matrix; but it returns lse, the logarithm of each row's sum of exponentials,
with which any single entry is exp(q·k - lse). So a tap costs the product of the chosen queries and keys, and nothing
grows with the square of the length.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import rl.import_fixes  # noqa: F401

import torch
from torch import nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import repeat_kv, sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from rl.batching import GroupBatch
from rl.types import Group
from rollout.config import LocalizeConfig, Row, reads_words
from rollout.localize import Attention

TAPPED = "tapped_sdpa"
"""The attn_implementation of a language model that can be tapped; it is sdpa without a tap."""
CHUNKS = {"cpu": 2**18, "cuda": 2**25}
"""Entries (heads × rows × columns) that exist at once: few enough for a core's cache, enough to keep a GPU busy."""
KERNEL_COLUMNS = 16
"""Number that the mask strides of the memory-efficient CUDA kernel must be multiples of."""


@dataclass(frozen=True, kw_only=True)
class Gaze:
    """The rows and columns of the attention that are wanted of one group of a batch."""

    line: int
    """Row of the batch that holds the group."""
    rows: torch.Tensor
    """[R] positions of the queries; each must see all the columns."""
    columns: torch.Tensor
    """[C] positions of the keys."""


class Tap:
    """The mean over layers and heads of each gaze's attention, collected layer by layer."""

    def __init__(self, gazes: Sequence[Gaze], config: LocalizeConfig) -> None:
        self._gazes = gazes
        self._layers = set(config.layers)
        self._heads = config.heads
        self._seen = 0
        self._sums = [
            torch.zeros(len(gaze.rows), len(gaze.columns), device=gaze.rows.device, dtype=torch.float32)
            for gaze in gazes
        ]

    def wants(self, layer: int) -> bool:
        """Return True if the layer is to be averaged."""
        return not self._layers or layer in self._layers

    def see(self, query: torch.Tensor, key: torch.Tensor, lse: torch.Tensor, scale: float) -> None:
        """Add a layer; query [B, heads, L, d], key [B, key heads, L, d], lse [B, heads, L] over all visible keys."""
        num_heads, num_key_heads = query.shape[1], key.shape[1]
        self._seen += len(self._heads) or num_heads
        for gaze, total in zip(self._gazes, self._sums, strict=True):
            if not total.numel():
                continue
            keys = key[gaze.line].index_select(1, gaze.columns).float().transpose(1, 2)
            queries = query[gaze.line].index_select(1, gaze.rows).float()
            sums = lse[gaze.line].index_select(1, gaze.rows).float()[..., None]
            num_rows = max(1, CHUNKS[query.device.type] // (num_heads * len(gaze.columns)))
            for chunk in range(0, len(total), num_rows):
                rows = slice(chunk, chunk + num_rows)
                # Heads that share a key head are side by side: [key heads, heads of each × rows, ...].
                asking, norms = (each[:, rows].reshape(num_key_heads, -1, each.shape[-1]) for each in (queries, sums))
                shares = torch.baddbmm(norms, asking, keys, beta=-1, alpha=scale).exp_()
                by_head = shares.view(num_heads, -1, shares.shape[-1])
                total[rows] += (by_head[self._heads] if self._heads else by_head).sum(0)

    def shares(self) -> list[torch.Tensor]:
        """Return the [R, C] mean attention of each gaze."""
        assert self._seen, f"no layer of localize.layers was passed with attn_implementation={TAPPED}"
        return [total / self._seen for total in self._sums]


def gazes_of(groups: Sequence[Group], batch: GroupBatch, row: Row) -> list[Gaze]:
    """Return a gaze for each group: from the tokens of its completions to the inspected image and the anomaly words."""
    if not groups:  # The row of an empty micro-batch belongs to no group.
        return []
    counts = [sum(len(completion.token_ids) for completion in group.completions) for group in groups]
    length, device = batch.ids.shape[1], batch.ids.device
    gazes = []
    for group, start, sources in zip(groups, batch.starts, batch.sources.split(counts), strict=True):
        line, first = divmod(start, length)
        answers = first + len(group.prompt.token_ids)
        own = answers + torch.arange(len(sources), device=device)
        begin, end = group.prompt.image_spans[-1]
        columns = first + torch.tensor([*range(begin, end), *group.prompt.anomaly_tokens], device=device)
        gazes.append(Gaze(line=line, rows=sources - line * length if row is Row.producing else own, columns=columns))
    return gazes


def gaze_fault(group: Group, config: LocalizeConfig) -> str:
    """Return why the attention of this group cannot be explained, in one sentence, or ""."""
    sample = f"sample {group.prompt.sample.id}"
    if not group.prompt.image_spans:
        return f"{sample} has no image to look at; give it one, or leave out reward.consistency"
    if reads_words(config) and not group.prompt.anomaly_tokens:
        return f"{sample}: its prompt holds none of data.anomaly_words; add one of its words to them"
    return ""


def attention_of(group: Group, shares: torch.Tensor) -> list[Attention]:
    """Return what a tap collected of a group, completion by completion."""
    _, rows, columns = group.prompt.pixels.token_grid[-1]
    counts = [len(completion.token_ids) for completion in group.completions]
    return [
        Attention(
            maps=part[:, : rows * columns].reshape(-1, rows, columns).numpy(),
            relevance=part[:, rows * columns :].sum(1).numpy(),
        )
        for part in shares.cpu().split(counts)
    ]


def tapped_attention(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    tap: Tap | None = None,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """Attend as transformers' sdpa does; show a tap the kernel's sums too, in a pass without gradient."""
    if tap is None or not tap.wants(module.layer_idx):
        return sdpa_attention_forward(module, query, key, value, attention_mask, **options)
    if attention_mask is not None and attention_mask.dtype is torch.bool:
        attention_mask = query.new_zeros(1).where(attention_mask, float("-inf"))
    keys, values = (repeat_kv(each, module.num_key_value_groups) for each in (key, value))
    output, lse = KERNELS[query.device.type](query, keys, values, attention_mask, options["scaling"])
    tap.see(query, key, lse, options["scaling"])
    return output.transpose(1, 2).contiguous(), None


Kernel = Callable[
    [torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor | None, float], tuple[torch.Tensor, torch.Tensor]
]


def _on_cpu(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor | None, scale: float
) -> tuple[torch.Tensor, torch.Tensor]:
    kernel = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    return kernel(query, key, value, is_causal=mask is None, attn_mask=mask, scale=scale)


def _on_cuda(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor | None, scale: float
) -> tuple[torch.Tensor, torch.Tensor]:
    if mask is not None:
        length = mask.shape[-1]
        padded = query.new_zeros(*mask.shape[:-1], -(-length // KERNEL_COLUMNS) * KERNEL_COLUMNS)
        padded[..., :length] = mask
        mask = padded[..., :length].expand(*query.shape[:3], length)
    kernel = torch.ops.aten._scaled_dot_product_efficient_attention
    # The sums are padded to whole blocks of rows.
    output, lse, _, _ = kernel(query, key, value, mask, True, is_causal=mask is None, scale=scale)
    return output, lse[..., : query.shape[2]]


KERNELS: dict[str, Kernel] = {"cpu": _on_cpu, "cuda": _on_cuda}
"""The sdpa kernel that attends under a mask and returns the sums, for each kind of device."""

AttentionInterface.register(TAPPED, tapped_attention)
AttentionMaskInterface.register(TAPPED, sdpa_mask)
