"""SFT, DPO and KTO under FSDP2 on one rank and on two, with packed lessons and shared prompts."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import rl.import_fixes  # noqa: F401

import numpy as np
import pytest
import torch
from torch.nn.functional import logsigmoid

from actors.config import ReferenceKind
from builders.learners import LORA, NO_GATE, PlainTraining, arrays, model_config, open_learner, plans_of
from builders.ranks import Ranks
from builders.tiny_model import tiny_prompt
from builders.token_groups import random_group
from rl.algorithm import AlgoConfig, Objective
from rl.batching import to_batch
from rl.preference_config import KtoConfig, LossSpan, PreferenceConfig
from rl.taught.preference import with_mismatched
from rl.types import Group

pytestmark = pytest.mark.slow
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
    """Make lessons with images of different sizes and one without; each answer's first tokens state knowledge."""
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


@dataclass(frozen=True, kw_only=True)
class Learnt:
    """A rank's results of one update."""

    report: dict[str, float]
    weights: dict[str, np.ndarray]


def learnt(rank: int, folder: Path, num_ranks: int, objective: str) -> Learnt:
    """Make one update within a budget that packs several lessons in a row."""
    algo = OBJECTIVES[objective]
    learner = open_learner(model_config(folder), algo)
    report = learner.update(plans_of(lessons(folder, algo), rank, num_ranks=num_ranks, budget=200))
    weights = arrays(learner.weights())
    learner.close()
    return Learnt(report=report, weights=weights)


def plainly_learnt(folder: Path, algo: AlgoConfig) -> tuple[float, float, dict[str, Any]]:
    """Make the same update with each answer alone behind its own copy of the prompt, and the loss written out by hand.

    Return loss, gradient norm and weights.
    """
    training = PlainTraining(model_config(folder), algo)
    groups = lessons(folder, algo)
    rows = [_row(training.policy, group, index) for group in groups for index in range(len(group.completions))]
    return *training.step(_loss(rows, algo)), training.weights()


Row = tuple[float, torch.Tensor, torch.Tensor]
"""(advantage, log-probs, reference log-probs) of an answer."""


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


@dataclass(frozen=True, kw_only=True)
class Found:
    """Results of rank 0 for an objective."""

    objective: str
    """Key of OBJECTIVES."""
    by_ranks: dict[int, Learnt]
    """Results by the number of ranks."""


@pytest.fixture(scope="module", params=OBJECTIVES)
def found(request: pytest.FixtureRequest, one_rank: Ranks, two_ranks: Ranks, tiny_model: Path) -> Found:
    return Found(
        objective=request.param,
        by_ranks={
            pool.num_ranks: pool.run(learnt, tiny_model, pool.num_ranks, request.param)[0]
            for pool in (one_rank, two_ranks)
        },
    )


def test_packed_lessons_give_the_loss_and_gradient_of_answers_one_by_one(found, tiny_model):
    loss, norm, weights = plainly_learnt(tiny_model, OBJECTIVES[found.objective])
    for num_ranks, result in found.by_ranks.items():
        loss_gap = abs(result.report["actor/loss"] / loss - 1)
        norm_gap = abs(result.report["actor/grad_norm"] / norm - 1)
        gaps = f"loss {loss_gap:.0e}, gradient norm {norm_gap:.0e}"
        print(f"figure: {found.objective}, ranks: {num_ranks}, relative: {gaps}")
        assert max(loss_gap, norm_gap) <= 1e-5
        for name, weight in result.weights.items():
            # Adam turns the rounding of a near-zero gradient into a visible step.
            assert np.abs(weight - weights[name]).max() < 3e-4, name


def test_both_ranks_report_the_same_as_one(found):
    one, two = (found.by_ranks[count].report for count in (1, 2))
    names = [name for name in one if not name.startswith("time/")]
    assert {name: two[name] for name in names} == pytest.approx({name: one[name] for name in names}, rel=1e-4)


def test_pairs_report_margins_of_the_answer_its_knowledge_and_its_reasoning(one_rank, tiny_model):
    report = one_rank.run(learnt, tiny_model, 1, "dpo")[0].report
    whole, *parts = (report[f"preference/{part}margin/mean"] for part in ("", "knowledge_", "reasoning_"))
    assert whole == pytest.approx(sum(parts), rel=1e-4)


def learnt_beside_its_own_base(rank: int, folder: Path, num_ranks: int) -> dict[str, float]:
    """Update a new adapter, with the model without it as the reference; return the report."""
    algo = OBJECTIVES["dpo"]
    learner = open_learner(model_config(folder, lora=LORA), algo, reference=ReferenceKind.adapter_off)
    report = learner.update(plans_of(lessons(folder, algo), rank, num_ranks=num_ranks))
    learner.close()
    return report


def test_a_new_adapter_has_no_preference_over_the_model_without_it(one_rank, two_ranks, tiny_model):
    for ranks in (one_rank, two_ranks):
        for report in ranks.run(learnt_beside_its_own_base, tiny_model, ranks.num_ranks):
            assert report["actor/loss"] == pytest.approx(np.log(2) + 0.2 * report["preference/sft_loss/mean"], rel=1e-5)
            assert report["preference/margin/mean"] == 0
