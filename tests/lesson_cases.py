"""Lessons on the tiny model, learnt by ranks and, one answer at a time, by plain torch."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from learner_cases import NO_GATE, SEED, as_policy, model_config, open_learner, plans_of
from tiny_model import tiny_prompt
from token_groups import random_group
from torch.nn.functional import logsigmoid

from actors.config import LoraConfig, ReferenceKind
from actors.model import load_model
from rl.algorithm import AlgoConfig, Objective
from rl.batching import to_batch
from rl.preference import with_mismatched
from rl.preference_config import KtoConfig, LossSpan, PreferenceConfig
from rl.types import Group

KTO = KtoConfig(beta=0.3, desirable_weight=1.5)
OBJECTIVES = {
    "sft": AlgoConfig(objective=Objective.sft, lr=1e-3, **NO_GATE),
    "sft of the reasoning": AlgoConfig(objective=Objective.sft, span=LossSpan.reasoning, lr=1e-3, **NO_GATE),
    "dpo": AlgoConfig(
        objective=Objective.dpo, preference=PreferenceConfig(beta=0.3, sft_weight=0.2), lr=1e-3, **NO_GATE
    ),
    "dpo of the knowledge": AlgoConfig(
        objective=Objective.dpo, span=LossSpan.knowledge, preference=PreferenceConfig(beta=0.3), lr=1e-3, **NO_GATE
    ),
    "kto": AlgoConfig(objective=Objective.kto, kto=KTO, lr=1e-3, **NO_GATE),
}
NUM_STATED = 2
SIZES = (((112, 112), (84, 56)), ((140, 84),), (), ((56, 56),), ((84, 84), (84, 84)))
LENGTHS = ((7, 4), (3, 9), (4, 8), (6, 3), (12, 3))


def lessons(folder: Path, algo: AlgoConfig) -> list[Group]:
    """Prompts with images of different sizes and one without; of each answer the first tokens state knowledge."""
    groups = [
        random_group(tiny_prompt(folder, sizes=size, text="Look! " * (index + 1), seed=index), of_group, seed=index)
        for index, (size, of_group) in enumerate(zip(SIZES, LENGTHS, strict=True))
    ]
    taught = [_taught(group, 1 if algo.objective is Objective.sft else 2) for group in groups]
    if algo.objective is not Objective.kto:
        return taught
    # The reference has to know the answers to other prompts too.
    return [
        replace(group, reference_logprobs=tuple((-5.0,) * len(each.token_ids) for each in group.completions))
        for group in with_mismatched(taught)
    ]


def _taught(group: Group, count: int) -> Group:
    stating = tuple(replace(each, knowledge=(0, NUM_STATED)) for each in group.completions[:count])
    return replace(
        group,
        completions=stating,
        scores=(),
        advantages=(1.0, -1.0)[:count],
        reference_logprobs=group.reference_logprobs[:count],
    )


def learnt(rank: int, ports: list[int], folder: Path, num_ranks: int) -> dict[str, Any]:
    """Of each objective the report and the weights after one update; budgets that pack several lessons in a row."""
    port, found = iter(ports), {}
    for name, algo in OBJECTIVES.items():
        learner = open_learner(next(port), model_config(folder), algo)
        plans = plans_of(lessons(folder, algo), num_ranks, budget=200)
        report = learner.update(plans[rank])
        weights = {name: tensor.numpy() for name, tensor in learner.weights().items()}
        learner.close()
        found[name] = {"report": report, "weights": weights}
    learner = open_learner(
        next(port),
        model_config(folder, lora=LoraConfig(rank=4, alpha=8)),
        OBJECTIVES["dpo"],
        reference=ReferenceKind.adapter_off,
    )
    found["adapter off"] = learner.update(plans_of(lessons(folder, OBJECTIVES["dpo"]), num_ranks)[rank])
    learner.close()
    return found


def plainly_learnt(folder: Path, algo: AlgoConfig) -> dict[str, Any]:
    """The same update with each answer alone behind its own copy of the prompt, its loss written out by hand."""
    torch.manual_seed(SEED)
    policy = as_policy(load_model(model_config(folder)))
    learning = [parameter for parameter in policy.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(learning, lr=algo.lr, weight_decay=algo.weight_decay)
    rows = [_row(policy, group, index) for group in lessons(folder, algo) for index in range(len(group.completions))]
    loss = _loss(rows, algo)
    loss.backward()
    norm = torch.nn.utils.clip_grad_norm_(learning, algo.max_grad_norm).item()
    optimizer.step()
    weights = {name: tensor.numpy() for name, tensor in policy.hf.state_dict().items()}
    return {"loss": loss.item(), "norm": norm, "weights": weights}


Row = tuple[float, torch.Tensor, torch.Tensor]
"""(advantage, log-probs, those of the reference) of one answer."""


def _row(policy: Any, group: Group, index: int) -> Row:
    alone = replace(group, completions=group.completions[index : index + 1], advantages=(), reference_logprobs=())
    reference = group.reference_logprobs[index] if group.reference_logprobs else ()
    return group.advantages[index], policy(to_batch([alone])).logprobs[0], torch.tensor(reference)


def _loss(rows: Sequence[Row], algo: AlgoConfig) -> torch.Tensor:
    read = {
        LossSpan.response: slice(None),
        LossSpan.knowledge: slice(0, NUM_STATED),
        LossSpan.reasoning: slice(NUM_STATED, None),
    }[algo.span]
    if algo.objective is Objective.sft:
        tokens = torch.cat([new[read] for _, new, _ in rows])
        return -tokens.mean()
    if algo.objective is Objective.kto:
        return _kto(rows)
    pairs = list(zip(rows[::2], rows[1::2], strict=True))
    gains = [[(new - old)[read].sum() for _, new, old in pair] for pair in pairs]
    margins = torch.stack([better - worse for better, worse in gains])
    chosen = torch.cat([new[read] for _, new, _ in rows[::2]])
    return -logsigmoid(algo.preference.beta * margins).mean() - algo.preference.sft_weight * chosen.mean()


def _kto(rows: Sequence[Row]) -> torch.Tensor:
    gains = [(sign, (new - old).sum()) for sign, new, old in rows]
    z = torch.stack([gain for sign, gain in gains if sign == 0]).mean().detach().clamp(min=0)
    losses = [
        weight * torch.sigmoid(-sign * KTO.beta * (gain - z))
        for sign, gain in gains
        if sign
        for weight in [KTO.desirable_weight if sign > 0 else KTO.undesirable_weight]
    ]
    return torch.stack(losses).mean()
