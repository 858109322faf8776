"""What the learner's tests run inside ranks, and the plain training that they compare with."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import rl.torchvision_ops  # noqa: F401

import torch
from peft import PeftModel
from ranks import open_group
from tiny_model import tiny_prompt
from token_groups import random_group
from transformers import AutoModelForImageTextToText

from actors.config import ClusterConfig, LoraConfig, ModelConfig, Precision, ReferenceKind
from actors.learner import Learner, Sampling
from actors.model import PolicyModel, load_model, with_lora
from actors.reference import ReferencePolicy
from rl.algorithm import AlgoConfig
from rl.batching import GroupBatch, UpdatePlan, group_length, plan_updates, to_batch
from rl.checkpoints import Progress, Record, checkpoint_folder, read_checkpoint
from rl.loss import LossInputs, policy_loss
from rl.types import Completion, Group, Origin
from rl.verl_core import Scale

SAMPLING = Sampling(temperature=0.9, banned_token_ids=(262, 263), max_response_tokens=16)
RECORD = Record(
    progress=Progress(step=2, position=0), policy_version=2, metrics_bytes=0, wandb_id="", data_hash="", config={}
)
NO_GATE = {"parity_warn": 1e9, "parity_stop": 1e9}
ALGO = AlgoConfig(num_prompts=5, kl_weight=0.1, clip_low=0.1, lr=1e-3, **NO_GATE)
SEED = 5
MODELS = {
    "full": {"freeze_vision": False, "freeze_projector": False},
    "frozen vision": {},
    "lora": {"lora": LoraConfig(rank=4, alpha=8)},
    "lora and projector": {"lora": LoraConfig(rank=4, alpha=8), "freeze_projector": False},
}
RESUMED = {"frozen vision": {}, "lora": {"lora": LoraConfig(rank=4, dropout=0.5)}}
"""With dropout, so that random states matter."""


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


def plans_of(groups: Sequence[Group], num_ranks: int, *, num_updates: int = 1, budget: int = 100) -> list[Any]:
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


def as_policy(hf: Any) -> PolicyModel:
    return PolicyModel(hf, temperature=SAMPLING.temperature, banned_token_ids=SAMPLING.banned_token_ids)


def plain_steps(folder: Path, model: dict[str, Any]) -> dict[str, Any]:
    """The same three updates in one process: no FSDP, one micro-batch, torch's own autograd and AdamW."""
    groups, config = mixed_groups(folder), model_config(folder, **model)
    torch.manual_seed(SEED)
    hf = load_model(config)
    if config.lora.rank:
        with_lora(hf, config.lora)
    policy = as_policy(hf)
    learning = [parameter for parameter in policy.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(learning, lr=ALGO.lr, weight_decay=ALGO.weight_decay)
    batch = to_batch(groups)
    losses, norms = [], []
    for _ in range(3):
        optimizer.zero_grad()
        logprobs = policy(batch).logprobs
        loss = plain_loss(logprobs, logprobs.detach(), batch, ALGO)
        loss.backward()
        losses.append(loss.item())
        norms.append(torch.nn.utils.clip_grad_norm_(learning, ALGO.max_grad_norm).item())
        optimizer.step()
    weights = {name: tensor.numpy() for name, tensor in policy.hf.state_dict().items()}
    return {"losses": losses, "norms": norms, "weights": weights}


def plain_loss(logprobs: torch.Tensor, old: torch.Tensor, batch: GroupBatch, algo: AlgoConfig) -> torch.Tensor:
    """The loss of a whole optimizer step in one micro-batch."""
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


def caught(call: Callable[[], Any]) -> tuple[str, str, float]:
    """(type, message, seconds) of what a call raised."""
    start = time.perf_counter()
    try:
        call()
    except (ValueError, RuntimeError) as error:
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


def _with_first_group(plan: UpdatePlan, change: Callable[[Group], Group], token: int) -> UpdatePlan:
    group = change(plan.micro_batches[0][0])
    completion = replace(group.completions[0], token_ids=(token, 1))
    return replace(plan, micro_batches=[[replace(group, completions=(completion,))], *plan.micro_batches[1:]])


def with_engine_logprobs(groups: Sequence[Group], hf: Any, shift: float = 0.0) -> list[Group]:
    """The groups as if a model had sampled them."""
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


def without_reference(groups: Sequence[Group]) -> list[Group]:
    return [replace(group, reference_logprobs=()) for group in groups]


def accumulation(port: int, folder: Path, budget: int) -> Any:
    learner = open_learner(port, model_config(folder, **MODELS["full"]))
    (plan,) = plans_of(mixed_groups(folder), 1, budget=budget)
    report = learner.update(plan)
    learner.close()
    return len(plan[0].micro_batches), report


def gate(port: int, folder: Path, shift: float) -> Any:
    """Parity report or refusal where every engine log-prob is off by `shift`; and whether the weights moved."""
    algo = replace(ALGO, kl_weight=0.0, parity_warn=1e-3, parity_stop=0.1)
    learner = open_learner(port, model_config(folder), algo)
    groups = with_engine_logprobs(without_reference(mixed_groups(folder)), load_model(model_config(folder)), shift)
    before, report = learner.weights(), {}
    refusal = caught(lambda: report.update(learner.update(plans_of(groups, 1)[0])))
    after = learner.weights()
    learner.close()
    return report, refusal[1], any(not torch.equal(before[name], after[name]) for name in before)


def off_policy(port: int, folder: Path, *, foreign: bool, num_updates: int) -> tuple[dict[str, float], Any]:
    """Report and weights after two updates on groups whose first completion somebody else wrote, or did not."""
    algo = replace(ALGO, kl_weight=0.0, lr=1e-2, parity_warn=1e-3, parity_stop=1e-2)
    learner = open_learner(port, model_config(folder), algo)
    groups = with_engine_logprobs(without_reference(mixed_groups(folder)), load_model(model_config(folder)))
    if foreign:
        groups = [replace(group, completions=_joined(group.completions)) for group in groups]
    report = learner.update(plans_of(groups, 1, num_updates=num_updates)[0])
    weights = learner.weights()
    learner.close()
    return timeless(report), weights


def _joined(completions: Sequence[Completion]) -> tuple[Completion, ...]:
    first, *others = completions
    return replace(first, origin=Origin.teacher, logprobs=()), *others


def same_off_policy(port: Iterator[int], folder: Path, num_updates: int) -> Any:
    """Reports without and with foreign completions, and whether the weights came out the same."""
    (own, before), (foreign, after) = (
        off_policy(next(port), folder, foreign=foreign, num_updates=num_updates) for foreign in (False, True)
    )
    return own, foreign, all(torch.equal(before[name], after[name]) for name in before)


def saved(port: int, folder: Path, out: Path, model: dict[str, Any]) -> Any:
    """How far a trained learner is from what it saved, and from its adapter on the base model."""
    learner = open_learner(port, model_config(folder, **model), replace(ALGO, lr=1e-2))
    groups = mixed_groups(folder)
    for _ in range(2):
        learner.update(plans_of(groups, 1)[0])
    step = checkpoint_folder(out, 2)
    learner.save(str(step), RECORD)
    learner.finish_saving()
    loaded = loaded_weights(folder, step)
    gaps = {"published": furthest_weight(learner.weights(), loaded.state_dict())}
    report = learner.update(plans_of(with_engine_logprobs(groups, loaded), 1)[0])
    gaps["saved"] = report["parity/logprob_abs_max"]
    learner.close()
    batch = to_batch(groups)
    with torch.no_grad():
        merged = as_policy(loaded)(batch).logprobs
        gaps["moved"] = float((merged - as_policy(load_model(model_config(folder)))(batch).logprobs).abs().max())
    gaps["kinds"] = sorted(path.name for path in step.iterdir() if path.name in ("hf", "adapter"))
    return gaps


def loaded_weights(folder: Path, step: Path) -> Any:
    """The model that a checkpoint's weights give: hf/ as it is, else the adapter merged into the base."""
    if (step / "hf").is_dir():
        return AutoModelForImageTextToText.from_pretrained(step / "hf", dtype=torch.float32)
    return PeftModel.from_pretrained(load_model(model_config(folder)), step / "adapter").merge_and_unload()


def resumed_steps(
    rank: int, ports: Iterator[int], folder: Path, out: Path, num_ranks: int, model: dict[str, Any]
) -> Any:
    """Four updates straight; the last two again by a learner that went on from the checkpoint after two."""
    plans = plans_of(mixed_groups(folder), num_ranks)[rank]
    learner = open_learner(next(ports), model_config(folder, **model), replace(ALGO, lr=1e-2, warmup_steps=3))
    step = checkpoint_folder(out, 2)
    straight = []
    for number in range(4):
        if number == 2:
            learner.save(str(step), RECORD)
        straight.append(learner.update(plans))
    learner.finish_saving()
    whole = learner.weights()
    learner.close()
    again = open_learner(next(ports), model_config(folder, **model), replace(ALGO, lr=1e-2, warmup_steps=3))
    again.restore(str(step), read_checkpoint(step).record.model)
    resumed = [again.update(plans) for _ in range(2)]
    same = all(torch.equal(tensor, whole[name]) for name, tensor in again.weights().items())
    again.close()
    return {
        "straight": [timeless(report) for report in straight[2:]],
        "resumed": list(map(timeless, resumed)),
        "same": same,
    }


def timeless(report: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in report.items() if not name.startswith("time/")}


def refused_restores(port: int, folder: Path, out: Path) -> list[str]:
    """What a learner says to checkpoints that are not its model's."""
    learner = open_learner(port, model_config(folder, lora=LoraConfig(rank=2)))
    step = checkpoint_folder(out / "resumed" / "lora", 2)
    record = read_checkpoint(step).record
    said = [caught(partial(learner.restore, str(step), mark))[1] for mark in ("0" * 16, record.model)]
    learner.close()
    return said


def resharded_case(rank: int, ports: list[int], folder: Path, step: Path) -> dict[str, float]:
    """The update that one rank makes from a checkpoint that two ranks wrote."""
    learner = open_learner(ports[rank], model_config(folder), replace(ALGO, lr=1e-2, warmup_steps=3))
    learner.restore(str(step), read_checkpoint(step).record.model)
    report = learner.update(plans_of(mixed_groups(folder), 1)[0])
    learner.close()
    return timeless(report)


def furthest_weight(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> float:
    assert set(found) == set(expected)
    return max(float((tensor - expected[name]).abs().max()) for name, tensor in found.items())


def changed_parts(port: int, folder: Path, model: dict[str, Any]) -> set[str]:
    """Which parts of the model an update changed."""
    learner = open_learner(port, model_config(folder, **model))
    before = learner.weights()
    learner.update(plans_of(mixed_groups(folder), 1)[0])
    after = learner.weights()
    learner.close()
    parts = ("visual.merger", "visual", "_proj", "embed_tokens", "norm", "lm_head")
    moved = [name for name, tensor in before.items() if not torch.equal(tensor, after[name])]
    return {next(part for part in parts if part in name) for name in moved}


def reference_by(port: int, folder: Path, kind: ReferenceKind) -> list[dict[str, float]]:
    """Two updates with the KL to the starting policy, which an actor or the adapter switched off computes."""
    config = model_config(folder, **MODELS["lora"])
    cluster = ClusterConfig(reference=kind)
    learner = open_learner(port, config, replace(ALGO, lr=1e-2, kl_weight=0.5), reference=kind)
    groups = without_reference(mixed_groups(folder))
    if kind is ReferenceKind.actor:
        answers = ReferencePolicy(config, cluster, SAMPLING).logprobs(groups)
        groups = [replace(group, reference_logprobs=each) for group, each in zip(groups, answers, strict=True)]
    reports = [learner.update(plans_of(groups, 1)[0]) for _ in range(2)]
    learner.close()
    return reports


def two_updates(port: int, folder: Path) -> tuple[dict[str, float], list[float]]:
    """A rollout batch in two optimizer steps, and the losses of the same by hand."""
    algo = replace(ALGO, lr=3e-3)
    groups = mixed_groups(folder)[:4]
    learner = open_learner(port, model_config(folder), algo)
    report = learner.update(plans_of(groups, 1, num_updates=2)[0])
    learner.close()
    policy = as_policy(load_model(model_config(folder)))
    learning = [parameter for parameter in policy.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(learning, lr=algo.lr, weight_decay=algo.weight_decay)
    batches = [to_batch(groups[:2]), to_batch(groups[2:])]
    old = [policy(batch).logprobs.detach() for batch in batches]
    losses = []
    for batch, before in zip(batches, old, strict=True):
        optimizer.zero_grad()
        loss = plain_loss(policy(batch).logprobs, before, batch, algo)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(learning, algo.max_grad_norm)
        optimizer.step()
        losses.append(loss.item())
    return report, losses


def parity_with(port: int, folder: Path, **model: Any) -> tuple[dict[str, float], set[str]]:
    """Parity with fp32 engine log-probs, and the number types of the weights handed out."""
    config = model_config(folder, **model)
    learner = open_learner(port, config)
    groups = with_engine_logprobs(mixed_groups(folder), load_model(config))
    report = learner.update(plans_of(groups, 1)[0])
    types = {str(tensor.dtype) for tensor in learner.weights().values()}
    learner.close()
    return report, types
