"""A tapped forward pass over a micro-batch: log-probs of the tokens, and the look of each completion."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

import rl.import_fixes  # noqa: F401

import torch
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from actors.model import PolicyModel
from rl.batching import GroupBatch
from rl.data.pieces import names_of, pieces, span_between
from rl.types import Group, Observed
from rollout.attention import Tap, attention_of, gazes_of
from rollout.config import LocalizeConfig, Tokens
from rollout.localize import Attention, look


class PolicyObserver:
    """A policy, and the tokenizer that finds the reasoning in its answers."""

    def __init__(self, policy: PolicyModel, model_path: str) -> None:
        self._policy = policy
        self._model_path = model_path

    @cached_property
    def _tokenizer(self) -> PreTrainedTokenizerBase:
        """The tokenizer, read at the first use: most runs reward nothing of the reasoning span."""
        return AutoTokenizer.from_pretrained(self._model_path)

    @torch.no_grad()
    def observe(
        self, groups: Sequence[Group], batch: GroupBatch, config: LocalizeConfig, *, with_maps: bool
    ) -> list[Observed]:
        """Return the log-probs and looks of each group of a batch; the policy must be in eval mode."""
        tap = Tap(gazes_of(groups, batch, config.row), config)
        rows = iter(self._policy(batch, tap).logprobs.tolist())
        return [
            (
                tuple(tuple(next(rows)[: len(completion.token_ids)]) for completion in group.completions),
                tuple(look(each, config, with_maps=with_maps) for each in self._attention(group, shares, config)),
            )
            for group, shares in zip(groups, tap.shares(), strict=True)
        ]

    def _attention(self, group: Group, shares: torch.Tensor, config: LocalizeConfig) -> list[Attention]:
        found = attention_of(group, shares)
        if config.tokens is Tokens.response:
            return found
        spans = [self._reasoning(completion.token_ids) for completion in group.completions]
        return [
            replace(attention, reasoning=span) if span else attention
            for attention, span in zip(found, spans, strict=True)
        ]

    def _reasoning(self, token_ids: Sequence[int]) -> tuple[int, int] | None:
        return span_between(pieces(names_of(self._tokenizer, token_ids)), "<think>", "</think>")
