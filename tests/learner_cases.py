"""What the learner's tests run inside ranks, and the plain training that they compare with."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from ranks import open_group
from tiny_model import tiny_prompt
from token_groups import random_group

from actors.config import ClusterConfig, LoraConfig, ModelConfig, Precision
from actors.learner import Learner, Sampling
from actors.model import PolicyModel, load_model, with_lora
from rl.algorithm import AlgoConfig
from rl.batching import UpdatePlan, group_length, plan_updates, to_batch
from rl.loss import LossInputs, policy_loss
from rl.types import Group
from rl.verl_core import Scale

SAMPLING = Sampling(temperature=0.9, banned_token_ids=(262, 263), max_response_tokens=16)
NO_GATE = {"parity_warn": 1e9, "parity_stop": 1e9}
ALGO = AlgoConfig(num_prompts=5, kl_weight=0.1, clip_low=0.1, lr=1e-3, **NO_GATE)
SEED = 5
MODELS = {
    "full": {"freeze_vision": False, "freeze_projector": False},
    "frozen vision": {},
    "lora": {"lora": LoraConfig(rank=4, alpha=8)},
    "lora and projector": {"lora": LoraConfig(rank=4, alpha=8), "freeze_projector": False},
}


def model_config(folder: Path, **options: Any) -> ModelConfig:
    return ModelConfig(path=str(folder), **{"precision": Precision.fp32, **options})


def mixed_groups(folder: Path) -> list[Group]:
    """Prompts of unequal length; two images, one of another size, none; one completion unjudged."""
    sizes = (((112, 112), (84, 56)), ((140, 84),), (), ((56, 56),), ((84, 84), (84, 84)))
    lengths = ((7, 1, 5), (3, 9), (4, 4, 2, 8), (6, 2), (12, 3, 3))
    return [
        random_group(
            tiny_prompt(folder, sizes=size, text="Look! " * (index + 1), seed=index),
            of_group,
            seed=index,
            unjudged=(1,) if index == 1 else (),
        )
        for index, (size, of_group) in enumerate(zip(sizes, lengths, strict=True))
    ]


def plans_of(groups: Sequence[Group], num_ranks: int, *, num_updates: int = 1, budget: int = 150) -> list[Any]:
    return plan_updates(groups, num_updates=num_updates, num_ranks=num_ranks, micro_batch_tokens=budget)


def open_learner(port: int, model: ModelConfig, algo: AlgoConfig = ALGO, **cluster: Any) -> Learner:
    open_group(port)
    # Waits in these tests are short, so that a failure shows soon.
    cluster = {"call_timeout_s": 60.0, **cluster}
    return Learner(model, algo, ClusterConfig(**cluster), SAMPLING, num_updates=10, seed=SEED)


def fsdp_steps(rank: int, port: int, folder: Path, model: dict[str, Any], num_ranks: int) -> dict[str, Any]:
    """Reports of three updates on the same groups, and how the first of them was dealt."""
    learner = open_learner(port, model_config(folder, **model))
    groups = mixed_groups(folder)
    plans = plans_of(groups, num_ranks)[rank]
    reports = [learner.update(plans) for _ in range(3)]
    # Arrays travel by value between processes, tensors do not.
    weights = {name: tensor.numpy() for name, tensor in learner.weights().items()}
    learner.close()
    return {
        "reports": reports,
        "weights": weights,
        "dealt": [[group_length(group) for group in part] for part in plans[0].micro_batches],
    }


def plain_steps(folder: Path, model: dict[str, Any]) -> dict[str, Any]:
    """The same three updates in one process: no FSDP, one micro-batch, torch's own autograd and AdamW."""
    groups, config = mixed_groups(folder), model_config(folder, **model)
    torch.manual_seed(SEED)
    hf = load_model(config)
    if config.lora.rank:
        with_lora(hf, config.lora)
    policy = PolicyModel(hf, temperature=SAMPLING.temperature, banned_token_ids=SAMPLING.banned_token_ids)
    learning = [parameter for parameter in policy.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(learning, lr=ALGO.lr, weight_decay=ALGO.weight_decay)
    batch = to_batch(groups)
    scale = Scale(
        dp_size=1,
        batch_num_tokens=int(batch.response_mask.sum()),
        global_batch_size=int(batch.response_mask.any(1).sum()),
        loss_scale_factor=SAMPLING.max_response_tokens,
    )
    losses, norms = [], []
    for _ in range(3):
        optimizer.zero_grad()
        logprobs = policy(batch).logprobs
        inputs = LossInputs(
            logprobs=logprobs,
            old_logprobs=logprobs.detach(),
            reference_logprobs=batch.reference_logprobs,
            advantages=batch.advantages,
            mask=batch.response_mask,
        )
        loss, _ = policy_loss(inputs, ALGO, scale)
        loss.backward()
        losses.append(loss.item())
        norms.append(torch.nn.utils.clip_grad_norm_(learning, ALGO.max_grad_norm).item())
        optimizer.step()
    weights = {name.removeprefix("hf."): tensor.numpy() for name, tensor in policy.state_dict().items()}
    return {"losses": losses, "norms": norms, "weights": weights}


def caught(call: Callable[[], Any]) -> tuple[str, str, float]:
    """(type, message, seconds) of what a call raised."""
    start = time.perf_counter()
    try:
        call()
    except Exception as error:
        return type(error).__name__, str(error), time.perf_counter() - start
    return "", "", time.perf_counter() - start


def bad_token_on_rank_1(rank: int, port: int, folder: Path) -> Any:
    learner = open_learner(port, model_config(folder))
    groups = mixed_groups(folder)[:4]
    (plan,) = plans_of(groups, 2)[rank]
    if rank == 1:
        plan = _with_first_group(plan, lambda group: random_group(group.prompt, [2]), token=9999)
    found = caught(lambda: learner.update([plan]))
    learner.close()
    return found


def crash_on_rank_1(rank: int, port: int, folder: Path) -> Any:
    """Rank 1 gets pixels whose patches have the wrong width, which only its own forward pass notices."""
    learner = open_learner(port, model_config(folder))
    (plan,) = plans_of(mixed_groups(folder)[:2], 2)[rank]
    if rank == 1:
        group = plan.micro_batches[0][0]
        pixels = replace(group.prompt.pixels, values=group.prompt.pixels.values[:, :-1])
        plan = replace(plan, micro_batches=[[replace(group, prompt=replace(group.prompt, pixels=pixels))]])
    return caught(lambda: learner.update([plan]))


def _with_first_group(plan: UpdatePlan, change: Callable[[Group], Group], token: int) -> UpdatePlan:
    group = change(plan.micro_batches[0][0])
    completion = replace(group.completions[0], token_ids=(token, 1))
    return replace(plan, micro_batches=[[replace(group, completions=(completion,))], *plan.micro_batches[1:]])


def two_ranks(rank: int, ports: list[int], folder: Path, out: Path) -> dict[str, Any]:
    """Everything that the tests ask of two ranks."""
    port = iter(ports)
    found: dict[str, Any] = {
        name: fsdp_steps(rank, next(port), folder, model, num_ranks=2) for name, model in MODELS.items()
    }
    found["bad token"] = bad_token_on_rank_1(rank, next(port), folder)
    learner = open_learner(next(port), model_config(folder, **MODELS["lora"]))
    learner.update(plans_of(mixed_groups(folder), 2)[rank])
    learner.save(str(out / "two_ranks"))
    learner.close()
    found["crash"] = crash_on_rank_1(rank, next(port), folder)
    return found
