"""The frozen policy: the KL term compares with it, and predictions are explained by where it looks."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch

from actors.model import PolicyModel, load_model
from actors.observing import PolicyObserver
from actors.pixels import with_pixels
from actors.platform import device
from actors.setups import FrozenSetup
from actors.watched import Watched
from rl.batching import GroupBatch, group_length, split_by_budget, to_batch
from rl.types import Group, Logprobs, Observed
from rollout.config import LocalizeConfig

Found = TypeVar("Found")


class ReferencePolicy(Watched):
    """The starting weights, in the precision of the passes."""

    def start(self, setup: FrozenSetup) -> None:
        model, sampling = setup.model, setup.sampling
        torch.set_num_threads(setup.cluster.threads_per_actor)
        self._device = device(setup.cluster)
        self._budget = setup.cluster.micro_batch_tokens
        # Loaded in its precision, not cast to it: that would round the rotary tables too.
        hf = load_model(model, getattr(torch, model.precision.value))
        self._policy = PolicyModel(
            hf,
            temperature=sampling.temperature,
            banned_token_ids=sampling.banned_token_ids,
            truncation=sampling.truncation,
        )
        self._policy.to(self._device).eval()
        self._observer = PolicyObserver(self._policy, model.path)

    @torch.no_grad()
    def logprobs(self, groups: Sequence[Group]) -> list[Logprobs]:
        """Return the log-probs of each group, [completion][token]."""

        def logprobs_of(part: Sequence[Group], batch: GroupBatch) -> list[Logprobs]:
            rows = iter(self._policy(batch).logprobs.tolist())
            return [tuple(tuple(next(rows)[: len(each.token_ids)]) for each in group.completions) for group in part]

        return self._in_parts(groups, logprobs_of)

    def observe(self, groups: Sequence[Group], config: LocalizeConfig) -> list[Observed]:
        """Return the log-probs of each group, and a look with its maps for each completion."""

        def observed_in(part: Sequence[Group], batch: GroupBatch) -> list[Observed]:
            return self._observer.observe(part, batch, config, with_maps=True)

        return self._in_parts(groups, observed_in)

    def _in_parts(
        self, groups: Sequence[Group], find: Callable[[Sequence[Group], GroupBatch], list[Found]]
    ) -> list[Found]:
        """Return what `find` gives for each group, micro-batch by micro-batch."""
        found: dict[int, Found] = {}
        groups = with_pixels(groups)
        lengths = {index: group_length(group) for index, group in enumerate(groups)}
        for indices in split_by_budget(lengths, self._budget):
            part = [groups[index] for index in indices]
            found.update(zip(indices, find(part, to_batch(part).to(self._device)), strict=True))
        return [found[index] for index in range(len(groups))]
