"""One rank of the learner group: takes the optimizer steps of a rollout batch and hands out the weights."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.distributed as dist
from torch.optim.lr_scheduler import LambdaLR

from actors.checkpoint import State, gathered_state, merged_state, save_adapter, save_folder
from actors.config import ClusterConfig, ModelConfig, ReferenceKind
from actors.model import PolicyModel, TokenStats, load_model, shard, with_lora
from actors.platform import device, join_group
from rl.algorithm import AlgoConfig
from rl.batching import GroupBatch, UpdatePlan, to_batch
from rl.loss import LossInputs, policy_loss
from rl.parity import check_parity
from rl.schedule import lr_factor
from rl.verl_core import Scale


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How the engine samples, which the learner's log-probs must follow."""

    temperature: float
    banned_token_ids: tuple[int, ...]
    max_response_tokens: int


class Learner:
    """Policy, optimizer and schedule under FSDP2; every rank makes the same calls."""

    def __init__(
        self,
        model: ModelConfig,
        algo: AlgoConfig,
        cluster: ClusterConfig,
        sampling: Sampling,
        *,
        num_updates: int,
        seed: int,
    ) -> None:
        torch.manual_seed(seed)
        torch.set_num_threads(cluster.threads_per_actor)
        join_group(cluster)
        self._model_config, self._algo, self._sampling = model, algo, sampling
        self._device = device(cluster)
        hf = load_model(model)
        self._adapted = with_lora(hf, model.lora) if model.lora.rank else None
        self._adapter_is_reference = cluster.reference is ReferenceKind.adapter_off and algo.kl_weight > 0
        self._policy = PolicyModel(hf, temperature=sampling.temperature, banned_token_ids=sampling.banned_token_ids)
        self._policy.to(self._device).train()
        shard(self._policy, model.precision)
        self._trained = [parameter for parameter in self._policy.parameters() if parameter.requires_grad]
        self._optimizer = torch.optim.AdamW(self._trained, lr=algo.lr, weight_decay=algo.weight_decay)
        self._schedule = LambdaLR(self._optimizer, lambda step: lr_factor(step, algo, num_updates))

    def update(self, plans: Sequence[UpdatePlan]) -> dict[str, float]:
        """The optimizer steps of one rollout batch; averages over them, and the seconds that gradients took."""
        start = time.perf_counter()
        batches = [[to_batch(groups).to(self._device) for groups in plan.micro_batches] for plan in plans]
        batches = [[self._with_reference(batch) for batch in update] for update in batches]
        prepared_s = time.perf_counter() - start
        # Several steps move the policy away from what it was; a single one can take its own forward as the old.
        old = [[self._logprobs(batch) for batch in update] for update in batches] if len(plans) > 1 else [None]
        start = time.perf_counter()
        reports = [self._step(*parts) for parts in zip(plans, batches, old, strict=True)]
        gradient_s = time.perf_counter() - start
        metrics = {name: sum(report[name] for report in reports) / len(reports) for name in reports[0]}
        parity = {name: reports[0][name] for name in reports[0] if name.startswith("parity/")}
        return {**metrics, **parity, "time/gradient": gradient_s, "time/prepare": prepared_s}

    def weights(self) -> State:
        """The whole model on rank 0, adapters merged in; {} on the other ranks."""
        state = gathered_state(self._policy)
        return merged_state(state, self._policy) if state else {}

    def save(self, folder: str) -> None:
        """Writes a folder that transformers and vLLM load, and with LoRA the adapter beside it."""
        state = gathered_state(self._policy)
        if not state:
            return
        dtype = getattr(torch, self._model_config.precision.value)
        save_folder(merged_state(state, self._policy), self._model_config.path, Path(folder), dtype)
        if self._adapted:
            save_adapter(state, self._adapted, Path(folder) / "adapter")

    def _step(self, plan: UpdatePlan, batches: list[GroupBatch], old: list[torch.Tensor] | None) -> dict[str, float]:
        scale = Scale(
            dp_size=dist.get_world_size(),
            batch_num_tokens=plan.num_tokens,
            global_batch_size=plan.num_completions,
            loss_scale_factor=self._sampling.max_response_tokens,
        )
        self._optimizer.zero_grad()
        tally = Tally(self._device)
        for index, batch in enumerate(batches):
            stats = self._policy(batch)
            before = stats.logprobs.detach() if old is None else old[index]
            loss, sums = policy_loss(_inputs(batch, stats, before), self._algo, scale)
            loss.backward()
            tally.add(batch, stats, before, {**sums, "loss": float(loss.detach()) / scale.dp_size})
        report = tally.reduced()
        check_parity(report["parity/logprob_abs_mean"], report["parity/logprob_abs_max"], self._algo)
        norm = torch.nn.utils.clip_grad_norm_(self._trained, self._algo.max_grad_norm)
        report["actor/grad_norm"] = float(norm.full_tensor())
        report["actor/lr"] = self._schedule.get_last_lr()[0]
        self._optimizer.step()
        self._schedule.step()
        return report

    def _with_reference(self, batch: GroupBatch) -> GroupBatch:
        """Where LoRA is the only change, the policy without it is the reference."""
        if not (self._adapter_is_reference and self._adapted):
            return batch
        with self._adapted.disable_adapter():
            return replace(batch, reference_logprobs=self._logprobs(batch))

    @torch.no_grad()
    def _logprobs(self, batch: GroupBatch) -> torch.Tensor:
        return self._policy(batch).logprobs


def _inputs(batch: GroupBatch, stats: TokenStats, old: torch.Tensor) -> LossInputs:
    return LossInputs(
        logprobs=stats.logprobs,
        old_logprobs=old,
        reference_logprobs=batch.reference_logprobs,
        advantages=batch.advantages,
        mask=batch.response_mask,
    )


class Tally:
    """Sums over the tokens of an optimizer step, then over the ranks."""

    NAMES = ("loss", "entropy", "kl", "clip_ratio", "counted", "parity", "sampled")

    def __init__(self, on: torch.device) -> None:
        self._sums = dict.fromkeys(self.NAMES, 0.0)
        self._largest = 0.0
        self._device = on

    def add(self, batch: GroupBatch, stats: TokenStats, old: torch.Tensor, sums: dict[str, float]) -> None:
        gap = ((old - batch.engine_logprobs) * batch.sampled).abs()
        sums = {
            **sums,
            "entropy": float((stats.entropy * batch.response_mask).sum()),
            "counted": float(batch.response_mask.sum()),
            "parity": float(gap.sum()),
            "sampled": float(batch.sampled.sum()),
        }
        for name, value in sums.items():
            self._sums[name] += value
        self._largest = max(self._largest, float(gap.max()))

    def reduced(self) -> dict[str, float]:
        """The report of the step, the same on every rank."""
        sums = torch.tensor([self._sums[name] for name in self.NAMES], device=self._device, dtype=torch.float64)
        largest = torch.tensor([self._largest], device=self._device, dtype=torch.float64)
        dist.all_reduce(sums)
        dist.all_reduce(largest, op=dist.ReduceOp.MAX)
        total = dict(zip(self.NAMES, sums.tolist(), strict=True))
        counted, sampled = max(total["counted"], 1.0), max(total["sampled"], 1.0)
        return {
            "actor/loss": total["loss"],
            "actor/entropy": total["entropy"] / counted,
            "actor/kl": total["kl"] / counted,
            "actor/clip_ratio": total["clip_ratio"] / counted,
            "parity/logprob_abs_mean": total["parity"] / sampled,
            "parity/logprob_abs_max": float(largest),
        }
