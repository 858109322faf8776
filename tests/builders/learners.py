"""Real learners for ranks, their configs and plans, and a plain training to compare them with."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import rl.import_fixes  # noqa: F401

import torch

from actors.config import ClusterConfig, LoraConfig, ModelConfig, Precision
from actors.learner import Learner
from actors.model import PolicyModel, load_model, with_lora
from actors.reference import ReferencePolicy
from actors.setups import FrozenSetup, LearnerSetup, Sampling
from builders.ranks import next_rank
from rl.algorithm import AlgoConfig
from rl.batching import GroupBatch, UpdatePlan, plan_updates, to_batch
from rl.loss import LossInputs, policy_loss
from rl.types import Group
from rl.verl_core import Scale

SAMPLING = Sampling(temperature=0.9, banned_token_ids=(262, 263), max_response_tokens=16)
NO_GATE = {"parity_warn": 1e9, "parity_stop": 1e9}
ALGO = AlgoConfig(num_prompts=5, kl_weight=0.1, clip_low=0.1, lr=1e-3, **NO_GATE)
FAST = replace(ALGO, lr=1e-2)
SEED = 5
LORA = LoraConfig(rank=4, alpha=8)
MODELS: dict[str, dict[str, Any]] = {
    "full": {"freeze_vision": False, "freeze_projector": False},
    "frozen vision": {},
    "lora": {"lora": LORA},
    "lora and projector": {"lora": LORA, "freeze_projector": False},
}


def model_config(folder: Path, **options: Any) -> ModelConfig:
    return ModelConfig(path=str(folder), **{"precision": Precision.fp32, **options})


def without_reference(groups: Sequence[Group]) -> list[Group]:
    return [replace(group, reference_logprobs=()) for group in groups]


def with_engine_logprobs(groups: Sequence[Group], hf: Any, shift: float = 0.0) -> list[Group]:
    """Give the completions the model's own log-probs plus `shift`, as if it had sampled them."""
    with torch.no_grad():
        rows = iter((as_policy(hf)(to_batch(groups)).logprobs + shift).tolist())
    return [
        replace(
            group,
            completions=tuple(
                replace(completion, logprobs=tuple(next(rows)[: len(completion.token_ids)]))
                for completion in group.completions
            ),
        )
        for group in groups
    ]


def plans_of(
    groups: Sequence[Group], rank: int = 0, *, num_ranks: int = 1, num_updates: int = 1, budget: int = 100
) -> list[UpdatePlan]:
    """Plan the updates and return a rank's share of them."""
    return plan_updates(groups, num_updates=num_updates, num_ranks=num_ranks, micro_batch_tokens=budget)[rank]


def open_learner(model: ModelConfig, algo: AlgoConfig = ALGO, **cluster: Any) -> Learner:
    """Start a learner in the process group that meets next."""
    # Waits in these tests are short, so that a failure shows soon.
    options = ClusterConfig(**{"call_timeout_s": 60.0, **cluster})
    setup = LearnerSetup(model=model, algo=algo, cluster=options, sampling=SAMPLING, num_updates=10, seed=SEED)
    learner = Learner()
    learner.start(next_rank(), setup)
    return learner


def open_reference(model: ModelConfig, cluster: ClusterConfig, sampling: Sampling = SAMPLING) -> ReferencePolicy:
    reference = ReferencePolicy()
    reference.start(FrozenSetup(model=model, cluster=cluster, sampling=sampling))
    return reference


def arrays(weights: dict[str, torch.Tensor]) -> dict[str, Any]:
    """Convert tensors to arrays, which travel by value between processes."""
    return {name: tensor.numpy() for name, tensor in weights.items()}


def timeless(report: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in report.items() if not name.startswith("time/")}


def caught(call: Callable[[], Any]) -> tuple[str, str, float]:
    """Return (type, message, seconds) of the error that a call raises; ("", "", seconds) without an error."""
    start = time.perf_counter()
    try:
        call()
    except (ValueError, RuntimeError) as error:
        return type(error).__name__, str(error), time.perf_counter() - start
    return "", "", time.perf_counter() - start


def as_policy(hf: Any) -> PolicyModel:
    return PolicyModel(hf, temperature=SAMPLING.temperature, banned_token_ids=SAMPLING.banned_token_ids)


class PlainTraining:
    """A learner's training in one process, without FSDP: torch's own autograd and AdamW."""

    def __init__(self, model: ModelConfig, algo: AlgoConfig) -> None:
        torch.manual_seed(SEED)
        hf = load_model(model)
        if model.lora.rank:
            with_lora(hf, model.lora)
        self.policy = as_policy(hf)
        self._algo = algo
        self._learning = [parameter for parameter in self.policy.parameters() if parameter.requires_grad]
        self._optimizer = torch.optim.AdamW(self._learning, lr=algo.lr, weight_decay=algo.weight_decay)

    def step(self, loss: torch.Tensor) -> tuple[float, float]:
        """Take an optimizer step; return the loss and the gradient's norm."""
        self._optimizer.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self._learning, self._algo.max_grad_norm)
        self._optimizer.step()
        return loss.item(), norm.item()

    def weights(self) -> dict[str, Any]:
        return arrays(self.policy.hf.state_dict())


def plain_loss(logprobs: torch.Tensor, old: torch.Tensor, batch: GroupBatch, algo: AlgoConfig) -> torch.Tensor:
    """Return the loss of an optimizer step that is one micro-batch."""
    inputs = LossInputs(
        logprobs=logprobs,
        old_logprobs=old,
        reference_logprobs=batch.reference_logprobs,
        advantages=batch.advantages,
        mask=batch.response_mask,
    )
    scale = Scale(
        dp_size=1,
        batch_num_tokens=int(batch.response_mask.sum()),
        global_batch_size=int(batch.response_mask.any(1).sum()),
        loss_scale_factor=SAMPLING.max_response_tokens,
    )
    return policy_loss(inputs, algo, scale)[0]
