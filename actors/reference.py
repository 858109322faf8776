"""The frozen policy that the KL term compares with."""

from collections.abc import Sequence

import torch

from actors.config import ClusterConfig, ModelConfig
from actors.learner import Sampling
from actors.model import PolicyModel, load_model
from actors.platform import device
from rl.batching import split_by_budget, to_batch
from rl.types import Group

Logprobs = tuple[tuple[float, ...], ...]


class ReferencePolicy:
    """The starting weights, in the precision of the passes."""

    def __init__(self, model: ModelConfig, cluster: ClusterConfig, sampling: Sampling) -> None:
        torch.set_num_threads(cluster.threads_per_actor)
        self._device = device(cluster)
        self._budget = cluster.micro_batch_tokens
        # Loaded in its precision, not cast to it: that would round the rotary tables too.
        hf = load_model(model, getattr(torch, model.precision.value))
        self._policy = PolicyModel(hf, temperature=sampling.temperature, banned_token_ids=sampling.banned_token_ids)
        self._policy.to(self._device).eval()

    @torch.no_grad()
    def logprobs(self, groups: Sequence[Group]) -> list[Logprobs]:
        """Per group, [completion][token]."""
        by_id: dict[int, Logprobs] = {}
        for part in split_by_budget(groups, self._budget):
            rows = iter(self._policy(to_batch(part).to(self._device)).logprobs.tolist())
            for group in part:
                by_id[id(group)] = tuple(tuple(next(rows)[: len(c.token_ids)]) for c in group.completions)
        return [by_id[id(group)] for group in groups]
