"""The metrics of an optimizer step, summed over micro-batches and ranks."""

from collections.abc import Sequence

import torch
import torch.distributed as dist

from actors.model import TokenStats
from rl.batching import GroupBatch, UpdatePlan
from rl.roles import Metrics


class Tally:
    """Sums over the counted tokens of an optimizer step, first of this rank, then of all."""

    AVERAGED = {"kl": "actor/kl", "clip_ratio": "actor/clip_ratio", "entropy": "actor/entropy"}
    """Sum → metric: the sum divided by the number of tokens."""
    GAP = "gap"
    """Name of the sum over the tokens that the policy sampled; the engine never saw the others."""

    def __init__(self, on: torch.device) -> None:
        self._sums = dict.fromkeys(("loss", self.GAP, *self.AVERAGED), 0.0)
        self._largest = torch.zeros((), device=on)

    def add(self, batch: GroupBatch, stats: TokenStats, old: torch.Tensor, sums: Metrics) -> None:
        gap = (old - batch.engine_logprobs).abs().where(batch.response_mask & batch.of_policy, 0.0)
        entropy = stats.entropy.where(batch.response_mask, 0.0)
        for name, value in {**sums, "entropy": entropy.sum().item(), self.GAP: gap.sum().item()}.items():
            self._sums[name] += value
        # Unlike Python's max, torch's keeps NaN.
        self._largest = torch.maximum(self._largest, gap.max())

    def reduced(self, plan: UpdatePlan) -> Metrics:
        """Return the report of the step, the same on every rank."""
        sums = torch.tensor(list(self._sums.values()), device=self._largest.device, dtype=torch.float64)
        dist.all_reduce(sums)
        dist.all_reduce(self._largest, op=dist.ReduceOp.MAX)
        totals = dict(zip(self._sums, sums.tolist(), strict=True))
        averages = {metric: totals[name] / plan.num_tokens for name, metric in self.AVERAGED.items()}
        return {
            "actor/loss": totals["loss"],
            **averages,
            "parity/logprob_abs_mean": totals[self.GAP] / plan.num_sampled_tokens,
            "parity/logprob_abs_max": self._largest.item(),
        }


def averaged(reports: Sequence[Metrics]) -> Metrics:
    """Return the averages over optimizer steps; of the largest gap, the largest."""
    names = dict.fromkeys(name for report in reports for name in report)
    values = {name: [report[name] for report in reports if name in report] for name in names}
    largest = "parity/logprob_abs_max"
    return {name: max(found) if name == largest else sum(found) / len(found) for name, found in values.items()}
