"""Groups with unequal prompts, images of different sizes and a text-only row, and learners to train on them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tiny_model import tiny_prompt

from actors.config import ClusterConfig, LoraConfig, ModelConfig, Precision
from actors.learner import Learner, Sampling
from actors.model import PolicyModel, load_model, with_lora
from rl.algorithm import AlgoConfig
from rl.batching import plan_updates, to_batch
from rl.loss import LossInputs, policy_loss
from rl.types import Completion, Group
from rl.verl_core import Scale

SAMPLING = Sampling(temperature=0.8, banned_token_ids=(256, 257), max_response_tokens=16)
MICRO_BATCH_TOKENS = 160


def mixed_groups(folder: Path) -> list[Group]:
    rng = np.random.default_rng(0)
    prompts = [
        tiny_prompt(folder),
        tiny_prompt(folder, sizes=((140, 84),), text="A longer question than the others, is it not?", seed=1),
        tiny_prompt(folder, sizes=(), text="No image at all."),
        tiny_prompt(folder, sizes=((56, 56), (112, 84)), seed=2),
    ]
    return [
        Group(
            prompt=prompt,
            completions=tuple(_completion(rng) for _ in range(3)),
            advantages=(1.2, -0.8, -0.4),
            reference_logprobs=(),
        )
        for prompt in prompts
    ]


def _completion(rng: np.random.Generator) -> Completion:
    token_ids = tuple(int(token) for token in rng.integers(0, 200, rng.integers(2, 12)))
    return Completion(
        token_ids=token_ids,
        text="",
        logprobs=(-5.0,) * len(token_ids),
        finish_reason="stop",
        policy_version=0,
    )


def model_config(folder: Path, lora_rank: int = 0) -> ModelConfig:
    return ModelConfig(
        path=str(folder),
        precision=Precision.fp32,
        lora=LoraConfig(rank=lora_rank),
        freeze_vision=False,
        freeze_projector=False,
    )


def algo_config(**changes: Any) -> AlgoConfig:
    return replace(AlgoConfig(num_prompts=4, num_completions=3, lr=1e-2, parity_warn=1e8, parity_stop=1e9), **changes)


def learner(folder: Path, lora_rank: int = 0, num_learners: int = 1, **changes: Any) -> Learner:
    cluster = ClusterConfig(num_learners=num_learners, micro_batch_tokens=MICRO_BATCH_TOKENS, call_timeout_s=120)
    return Learner(model_config(folder, lora_rank), algo_config(**changes), cluster, SAMPLING, num_updates=10, seed=0)


def policy(folder: Path, lora_rank: int = 0) -> PolicyModel:
    """The model without FSDP, its weights drawn like the learner's."""
    torch.manual_seed(0)
    hf = load_model(model_config(folder))
    if lora_rank:
        with_lora(hf, LoraConfig(rank=lora_rank))
    return PolicyModel(hf, temperature=SAMPLING.temperature, banned_token_ids=SAMPLING.banned_token_ids).train()


def train_on_ranks(folder: Path, num_learners: int, lora_rank: int) -> list[dict[str, float]]:
    """Two steps of one rank of a group of learners."""
    import os

    plans = plan_updates(
        mixed_groups(folder), num_updates=1, num_ranks=num_learners, micro_batch_tokens=MICRO_BATCH_TOKENS
    )
    mine = learner(folder, lora_rank, num_learners)
    return [mine.update(plans[int(os.environ["RANK"])]) for _ in range(2)]


def train_alone(folder: Path, lora_rank: int) -> list[dict[str, float]]:
    """The same two steps in one process without FSDP, all groups in one batch."""
    model, config = policy(folder, lora_rank), algo_config()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=config.lr, weight_decay=config.weight_decay)
    batch = to_batch(mixed_groups(folder))
    scale = Scale(
        dp_size=1, batch_num_tokens=int(batch.response_mask.sum()), global_batch_size=12, loss_scale_factor=16
    )
    reports = []
    for _ in range(2):
        optimizer.zero_grad()
        logprobs = model(batch).logprobs
        inputs = LossInputs(
            logprobs=logprobs,
            old_logprobs=logprobs.detach(),
            reference_logprobs=None,
            advantages=batch.advantages,
            mask=batch.response_mask,
        )
        loss, _ = policy_loss(inputs, config, scale)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(trained, config.max_grad_norm)
        optimizer.step()
        gap = (logprobs.detach() - batch.engine_logprobs).abs() * batch.response_mask
        parity = gap.sum() / batch.response_mask.sum()
        reports.append({"loss": loss.item(), "grad_norm": float(norm), "parity": float(parity)})
    return reports
