"""A rank of the learner group: takes the optimizer steps of a batch and hands out the weights."""

import math
import socket
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch.optim.lr_scheduler import LambdaLR

from actors.checkpoint import State, gathered_state, merged_state, published_state, save_adapter, save_folder
from actors.config import ReferenceKind
from actors.model import PolicyModel, TokenStats, load_model, shard, with_lora
from actors.observing import PolicyObserver
from actors.pixels import with_pixels
from actors.platform import device, hardware, join_group, open_store
from actors.profiling import StepProfiler
from actors.saving import Saver, fingerprint
from actors.setups import LearnerSetup, Rank
from actors.tally import Tally, averaged
from actors.watched import Watched, node_address
from rl.algorithm import AlgoConfig
from rl.asking import asking_of, write_asking
from rl.batching import GroupBatch, UpdatePlan, Vocabulary, fault_of, to_batch
from rl.checkpoints import ADAPTER, WHOLE, Record
from rl.faults import UserError
from rl.loss import LossInputs, policy_loss
from rl.parity import check_parity
from rl.recipe import RECIPES
from rl.roles import Metrics
from rl.schedule import lr_factor
from rl.taught.lesson_loss import LessonCounts, LessonInputs, counts_of, lesson_loss, mismatch_share, only
from rl.types import Group, Observed
from rl.verl_core import Scale, import_verl
from rollout.attention import gaze_fault
from rollout.config import LocalizeConfig


class Learner(Watched):
    """Policy, optimizer and schedule under FSDP2; every rank makes the same calls."""

    def open_meeting(self) -> str:
        """Listen for the ranks of the group, of which this one is the first; return host:port."""
        self._store = open_store()
        return f"{node_address()}:{self._store.port}"

    def start(self, rank: Rank, setup: LearnerSetup) -> None:
        """Meet the other ranks and load the model; every rank returns once all have done so."""
        model, algo, cluster, sampling = setup.model, setup.algo, setup.cluster, setup.sampling
        torch.set_num_threads(cluster.threads_per_actor)
        join_group(cluster, rank)
        self._recipe = RECIPES[algo.objective]
        if not self._recipe.teaches:
            import_verl()
        torch.manual_seed(setup.seed)
        self._model_config, self._algo, self._sampling = model, algo, sampling
        self._device = device(cluster)
        self._hardware = hardware(cluster)
        hf = load_model(model)
        self._vocabulary = Vocabulary(
            size=hf.config.text_config.vocab_size,
            image_token_id=hf.config.image_token_id,
            banned_token_ids=frozenset(sampling.banned_token_ids),
        )
        self._fingerprint = fingerprint(hf)
        self._adapted = with_lora(hf, model.lora) if model.lora.rank else None
        is_compared = self._recipe.needs_reference(algo)
        self._adapter_is_reference = is_compared and cluster.reference is ReferenceKind.adapter_off
        self._policy = PolicyModel(
            hf,
            temperature=sampling.temperature,
            banned_token_ids=sampling.banned_token_ids,
            truncation=sampling.truncation,
        )
        self._observer = PolicyObserver(self._policy, model.path)
        shard(self._policy.train(), model.precision, self._device)
        self._trained = [parameter for parameter in self._policy.parameters() if parameter.requires_grad]
        self._only_adapter = all(".lora_" in name for name, p in self._policy.named_parameters() if p.requires_grad)
        self._optimizer = torch.optim.AdamW(self._trained, lr=algo.lr, weight_decay=algo.weight_decay)
        self._schedule = LambdaLR(self._optimizer, lambda step: lr_factor(step, algo, setup.num_updates))
        self._saver = Saver(self._policy, self._optimizer, self._schedule)
        self._profiler = StepProfiler(setup.profile, rank.number, self._device) if setup.profile else None
        # The same weights on every rank until here, different dropout on each rank from here on.
        torch.manual_seed(setup.seed + rank.number)

    def update(self, plans: Sequence[UpdatePlan]) -> Metrics:
        """Take the optimizer steps of one batch; return their averages, and the seconds that gradients took."""
        step = self._schedule.last_epoch // self._algo.num_updates + 1
        with self._profiler.step(step) if self._profiler else nullcontext():
            return self._updated(plans)

    def _updated(self, plans: Sequence[UpdatePlan]) -> Metrics:
        plans = [replace(plan, micro_batches=[with_pixels(part) for part in plan.micro_batches]) for plan in plans]
        start = time.perf_counter()
        if self._recipe.teaches:
            reports = [self._lesson(plan) for plan in plans]
            return {**averaged(reports), "time/gradient": time.perf_counter() - start}
        updates = [[self._with_reference(batch) for batch in update] for update in self._batches(plans)]
        if self._needs_old_logprobs(updates):
            updates = [[replace(batch, old_logprobs=self._logprobs(batch)) for batch in update] for update in updates]
        prepared = time.perf_counter()
        reports = [self._step(plan, batches) for plan, batches in zip(plans, updates, strict=True)]
        gradient_s = time.perf_counter() - prepared
        return {**averaged(reports), "time/gradient": gradient_s, "time/prepare": prepared - start}

    def observe(
        self, parts: Sequence[Sequence[Group]], config: LocalizeConfig, *, with_maps: bool
    ) -> list[list[Observed]]:
        """Return for each group of each micro-batch the policy's log-probs and looks, from one pass."""
        parts = [with_pixels(part) for part in parts]
        groups = [group for part in parts for group in part]
        self._refuse_together(gaze_fault(group, config) for group in groups)
        batches = self._tensors(parts)
        self._policy.eval()
        observed = [
            self._observer.observe(part, batch, config, with_maps=with_maps)
            for part, batch in zip(parts, batches, strict=True)
        ]
        self._policy.train()
        return observed

    def weights(self) -> State:
        """Return the whole model on rank 0, adapters merged in; {} on the other ranks."""
        state = published_state(self._policy)
        return merged_state(state, self._policy, self._dtype) if state else {}

    def save(self, folder: str, record: Record) -> None:
        """Copy the state and weights of this moment; a thread writes them to the checkpoint `folder`."""
        writer = self._weights_writer(asking_of(record.config))
        self._saver.save(Path(folder), replace(record, model=self._fingerprint), writer)

    def finish_saving(self) -> None:
        """Wait until the last checkpoint is written."""
        self._saver.finish()

    def checkpoint_bytes(self) -> int:
        """Return the size of a checkpoint: trained weights and their two moments, and the model if it is whole."""
        state = 3 * sum(parameter.numel() * parameter.element_size() for parameter in self._trained)
        whole = 0 if self._only_adapter else sum(parameter.numel() for parameter in self._policy.parameters())
        return state + whole * self._dtype.itemsize

    def hardware(self) -> str:
        """Return the name of the GPU or processor that this rank computes on."""
        return self._hardware

    def check_sees(self, path: str) -> None:
        """Raise a UserError if this machine does not see `path`, a file of the run folder."""
        if not Path(path).is_file():
            raise UserError(
                f"output={Path(path).parent} is not to be seen on {socket.gethostname()}, where a learner runs; give a "
                "folder that all machines share"
            )

    def restore(self, folder: str, model: str) -> None:
        """Go on from a checkpoint whose run started from weights with the fingerprint `model`."""
        if model != self._fingerprint:
            raise UserError(
                f"{folder}: the checkpoint of a run that started from other weights than model.path="
                f"{self._model_config.path}; give that run's model.path, or another resume="
            )
        self._saver.restore(Path(folder))
        self._apply_rates()

    def _apply_rates(self) -> None:
        """Set the learning rate and weight decay of the config, not of the checkpoint's optimizer."""
        self._schedule.base_lrs = [self._algo.lr] * len(self._schedule.base_lrs)
        for group, factor in zip(self._optimizer.param_groups, self._schedule.lr_lambdas, strict=True):
            group["initial_lr"], group["weight_decay"] = self._algo.lr, self._algo.weight_decay
            group["lr"] = self._algo.lr * factor(self._schedule.last_epoch)

    def _weights_writer(self, asking: Mapping[str, Any]) -> Callable[[Path], None]:
        """Copy the weights; return the function that writes adapter/, and hf/ unless only the adapter learns."""
        state = gathered_state(self._policy, trained_only=self._only_adapter)
        whole = merged_state(state, self._policy, self._dtype) if state and not self._only_adapter else {}
        adapter = {name: tensor.clone() for name, tensor in state.items() if ".lora_" in name}

        def write(folder: Path) -> None:
            if whole:
                save_folder(whole, self._policy.hf, self._model_config.path, folder / WHOLE)
                write_asking(folder / WHOLE, asking)
            if self._adapted:
                save_adapter(adapter, self._adapted, folder / ADAPTER)

        return write

    def close(self) -> None:
        """Leave the process group."""
        if dist.is_initialized():
            dist.destroy_process_group()

    @property
    def _dtype(self) -> torch.dtype:
        return getattr(torch, self._model_config.precision.value)

    def _batches(self, plans: Sequence[UpdatePlan]) -> list[list[GroupBatch]]:
        """Return the tensors of each update's micro-batches; if one rank cannot take a group, all raise."""
        parts = self._tensors([part for plan in plans for part in plan.micro_batches])
        return [[next(parts) for _ in plan.micro_batches] for plan in plans]

    def _tensors(self, parts: Sequence[Sequence[Group]]) -> Iterator[GroupBatch]:
        self._refuse_together(fault_of(group, self._vocabulary) for part in parts for group in part)
        return (to_batch(part).to(self._device) for part in parts)

    def _refuse_together(self, mine: Iterable[str]) -> None:
        """Raise on every rank the first fault of any rank; "" is no fault."""
        faults = [""] * dist.get_world_size()
        dist.all_gather_object(faults, next(filter(None, mine), ""))
        if any(faults):
            raise UserError(next(filter(None, faults)))

    def _with_reference(self, batch: GroupBatch) -> GroupBatch:
        """Add the reference's log-probs if the policy with its adapter off is the reference."""
        if not (self._adapter_is_reference and self._adapted):
            return batch
        with self._adapted.disable_adapter():
            return replace(batch, reference_logprobs=self._logprobs(batch))

    def _needs_old_logprobs(self, updates: Sequence[Sequence[GroupBatch]]) -> bool:
        """Return True if the old log-probs need a pass of their own before the first step.

        They need none if an observer's pass gave them. A separate pass for the old log-probs is needed only with
        several steps, or with dropout.
        """
        observed = any(batch.old_logprobs is not None for update in updates for batch in update)
        return not observed and (len(updates) > 1 or self._model_config.lora.dropout > 0)

    @torch.no_grad()
    def _logprobs(self, batch: GroupBatch) -> torch.Tensor:
        self._policy.eval()
        logprobs = self._policy(batch).logprobs
        self._policy.train()
        return logprobs

    def _step(self, plan: UpdatePlan, batches: Sequence[GroupBatch]) -> Metrics:
        """Take an optimizer step: sum gradients over micro-batches and ranks, pass the parity gate, step.

        A batch without old log-probs takes those of its own forward pass.
        """
        scale = Scale(
            dp_size=dist.get_world_size(),
            batch_num_tokens=plan.num_tokens,
            global_batch_size=plan.num_completions,
            loss_scale_factor=self._sampling.max_response_tokens,
        )
        self._optimizer.zero_grad()
        tally = Tally(self._device)
        for batch in batches:
            stats = self._policy(batch)
            old = stats.logprobs.detach() if batch.old_logprobs is None else batch.old_logprobs
            loss, sums = policy_loss(_inputs(batch, stats, old, self._algo), self._algo, scale)
            loss.backward()
            # The loss is dp_size times this rank's share, because FSDP averages gradients; the tally sums shares.
            tally.add(batch, stats, old, {**sums, "loss": loss.item() / scale.dp_size})
        report = tally.reduced(plan)
        check_parity(report["parity/logprob_abs_mean"], report["parity/logprob_abs_max"], self._algo)
        return {**report, **self._advance()}

    def _lesson(self, plan: UpdatePlan) -> Metrics:
        """Take an optimizer step on lessons."""
        parts, world = plan.micro_batches, dist.get_world_size()
        own = list(self._tensors([[only(group, mismatched=False) for group in part] for part in parts]))
        groups = [group for part in parts for group in part]
        counts = LessonCounts(**self._summed(asdict(counts_of(groups, self._algo)), int))
        kl = self._mismatch(parts, counts) if self._recipe.compares_prompts else 0.0
        self._optimizer.zero_grad()
        sums: defaultdict[str, float] = defaultdict(float)
        for batch in map(self._with_reference, own):
            stats = self._policy(batch)
            inputs = LessonInputs(batch=batch, logprobs=stats.logprobs, counts=counts, dp_size=world, kl=kl)
            loss, shares = lesson_loss(inputs, self._algo)
            loss.backward()
            entropy = stats.entropy.where(batch.response_mask, 0.0).sum().item() / max(counts.num_tokens, 1)
            for name, share in {"actor/loss": loss.item() / world, "actor/entropy": entropy, **shares}.items():
                sums[name] += share
        compared = {"preference/kl/mean": kl} if self._recipe.compares_prompts else {}
        return {**self._summed(sums, float), **compared, **self._advance()}

    def _mismatch(self, parts: Sequence[Sequence[Group]], counts: LessonCounts) -> float:
        """Return KL(policy || reference) of answers to other prompts, over the whole optimizer step."""
        batches = self._tensors([[only(group, mismatched=True) for group in part] for part in parts])
        shares = [mismatch_share(batch, self._logprobs(batch), counts) for batch in map(self._with_reference, batches)]
        return self._summed({"kl": sum(shares)}, float)["kl"]

    def _summed(self, mine: Mapping[str, float], number: type) -> dict[str, Any]:
        """Return the sums over all ranks; each rank has the same names."""
        sums = torch.tensor(list(mine.values()), device=self._device, dtype=torch.float64)
        dist.all_reduce(sums)
        return {name: number(value) for name, value in zip(mine, sums.tolist(), strict=True)}

    def _advance(self) -> Metrics:
        """Clip the gradient, step the optimizer and the schedule; return the norm and the learning rate."""
        norm = float(torch.nn.utils.clip_grad_norm_(self._trained, self._algo.max_grad_norm).full_tensor())
        if not math.isfinite(norm):
            raise UserError(f"the gradient's norm is {norm}; lower algo.lr or train with model.precision=fp32")
        lr = self._schedule.get_last_lr()[0]
        self._optimizer.step()
        self._schedule.step()
        return {"actor/grad_norm": norm, "actor/lr": lr}


def _inputs(batch: GroupBatch, stats: TokenStats, old: torch.Tensor, algo: AlgoConfig) -> LossInputs:
    return LossInputs(
        logprobs=stats.logprobs,
        old_logprobs=old,
        reference_logprobs=batch.reference_logprobs,
        advantages=batch.bounded_advantages(old) if algo.bounded_negatives else batch.advantages,
        mask=batch.response_mask,
    )
