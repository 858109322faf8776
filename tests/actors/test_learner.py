"""The learner's updates under FSDP2: two ranks against a process without it, the parity gate, frozen parts."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import rl.import_fixes  # noqa: F401

import numpy as np
import pytest
import torch
from transformers import AutoModelForImageTextToText

from actors.config import ClusterConfig, LoraConfig, Precision, ReferenceKind
from actors.model import load_model
from builders.learners import (
    ALGO,
    FAST,
    MODELS,
    PlainTraining,
    arrays,
    caught,
    model_config,
    open_learner,
    open_reference,
    plain_loss,
    plans_of,
    timeless,
    with_engine_logprobs,
    without_reference,
)
from builders.ranks import Ranks
from builders.tiny_groups import mixed_groups
from builders.token_groups import random_group
from rl.batching import UpdatePlan, group_length, to_batch
from rl.types import Completion, Group, Origin

pytestmark = pytest.mark.slow
LANGUAGE_MODEL = {"_proj", "embed_tokens", "norm", "lm_head"}


@dataclass(frozen=True, kw_only=True)
class ThreeUpdates:
    """Results of three equal updates in one of two ranks."""

    model: str
    """Key of MODELS."""
    reports: list[dict[str, float]]
    weights: dict[str, np.ndarray]
    dealt: list[list[int]]
    """Lengths of the groups in each micro-batch of the first update."""

    def values(self, name: str) -> list[float]:
        return [report[f"actor/{name}"] for report in self.reports]


def three_updates(rank: int, folder: Path, model: str) -> ThreeUpdates:
    learner = open_learner(model_config(folder, **MODELS[model]))
    plans = plans_of(mixed_groups(folder), rank, num_ranks=2)
    reports = [learner.update(plans) for _ in range(3)]
    weights = arrays(learner.weights())
    learner.close()
    dealt = [[group_length(group) for group in part] for part in plans[0].micro_batches]
    return ThreeUpdates(model=model, reports=reports, weights=weights, dealt=dealt)


def three_plain_updates(folder: Path, model: str) -> tuple[list[float], list[float], dict[str, Any]]:
    """Make the same updates in one micro-batch each; return losses, gradient norms and weights."""
    training, batch = PlainTraining(model_config(folder, **MODELS[model]), ALGO), to_batch(mixed_groups(folder))
    steps = []
    for _ in range(3):
        logprobs = training.policy(batch).logprobs
        steps.append(training.step(plain_loss(logprobs, logprobs.detach(), batch, ALGO)))
    losses, norms = zip(*steps, strict=True)
    return [*losses], [*norms], training.weights()


@pytest.fixture(scope="module", params=MODELS)
def pair(request: pytest.FixtureRequest, two_ranks: Ranks, tiny_model: Path) -> list[ThreeUpdates]:
    """Run the updates in both ranks, for each kind of model."""
    return two_ranks.run(three_updates, tiny_model, request.param)


def furthest(found: Sequence[float], expected: Sequence[float]) -> float:
    return max(abs(one / other - 1) for one, other in zip(found, expected, strict=True))


def test_two_ranks_have_the_losses_and_gradient_norms_of_one_process_without_fsdp(pair, tiny_model):
    losses, norms, _ = three_plain_updates(tiny_model, pair[0].model)
    for rank in pair:
        assert rank.values("loss") == pytest.approx(losses, rel=1e-5)
        assert rank.values("grad_norm") == pytest.approx(norms, rel=1e-5)
    loss, norm = furthest(pair[1].values("loss"), losses), furthest(pair[1].values("grad_norm"), norms)
    print(f"figure: {pair[0].model}, relative: loss {loss:.0e}, gradient norm {norm:.0e}")


@pytest.mark.parametrize("model", ["full", "frozen vision"])
def test_two_ranks_train_the_weights_of_one_process(two_ranks, tiny_model, model):
    trained = two_ranks.run(three_updates, tiny_model, model)[0].weights
    weights = three_plain_updates(tiny_model, model)[2]
    assert set(trained) == set(weights)
    for name, weight in trained.items():
        # Adam turns the rounding of a near-zero gradient into a visible step.
        assert np.abs(weight - weights[name]).max() < 3e-4, name


def test_only_rank_0_hands_out_weights_with_the_checkpoints_names_and_shapes(pair, tiny_model):
    model = AutoModelForImageTextToText.from_pretrained(tiny_model)
    expected = {name: tuple(weight.shape) for name, weight in model.state_dict().items()}
    assert {name: weight.shape for name, weight in pair[0].weights.items()} == expected
    assert pair[1].weights == {}


def test_the_ranks_got_unequal_work_so_that_one_had_an_empty_micro_batch(pair):
    first, second = (rank.dealt for rank in pair)
    assert len(first) == len(second)
    assert [] in first + second


def update_with_a_bad_token_on_rank_1(rank: int, folder: Path) -> tuple[str, str, float]:
    learner = open_learner(model_config(folder))
    (plan,) = plans_of(mixed_groups(folder)[:4], rank, num_ranks=2)
    if rank == 1:
        plan = with_token(plan, 9999)
    found = caught(lambda: learner.update([plan]))
    learner.close()
    return found


def with_token(plan: UpdatePlan, token: int) -> UpdatePlan:
    """Put the token into the answer of the plan's first group."""
    first, *others = plan.micro_batches
    group = random_group(first[0].prompt, [2])
    completion = replace(group.completions[0], token_ids=(token, 1))
    return replace(plan, micro_batches=[[replace(group, completions=(completion,))], *others])


def test_all_ranks_refuse_a_group_that_one_of_them_cannot_take(two_ranks, tiny_model):
    for kind, message, seconds in two_ranks.run(update_with_a_bad_token_on_rank_1, tiny_model):
        assert kind == "UserError"
        assert message.startswith("sample tiny/")
        assert "beyond the model's" in message
        assert seconds < 60


def accumulated(_: int, folder: Path, budget: int) -> tuple[int, dict[str, float]]:
    """Make one update; return the number of its micro-batches and its report."""
    learner = open_learner(model_config(folder, **MODELS["full"]))
    plans = plans_of(mixed_groups(folder), budget=budget)
    report = learner.update(plans)
    learner.close()
    return len(plans[0].micro_batches), report


def test_accumulating_micro_batches_equals_one_full_batch(one_rank, tiny_model):
    ((many, parts),), ((one, whole),) = (one_rank.run(accumulated, tiny_model, budget) for budget in (60, 10_000))
    assert (many, one) == (5, 1)
    for name in ("actor/loss", "actor/grad_norm", "actor/kl", "actor/entropy", "parity/logprob_abs_mean"):
        assert parts[name] == pytest.approx(whole[name], rel=1e-5)


def gated(_: int, folder: Path, shift: float) -> tuple[dict[str, float], str, bool]:
    """Update with engine log-probs off by `shift`; return report, refusal, and True if the weights changed."""
    learner = open_learner(model_config(folder), replace(ALGO, kl_weight=0.0, parity_warn=1e-3, parity_stop=0.1))
    groups = with_engine_logprobs(without_reference(mixed_groups(folder)), load_model(model_config(folder)), shift)
    before, report = learner.weights(), {}
    refusal = caught(lambda: report.update(learner.update(plans_of(groups))))[1]
    after = learner.weights()
    learner.close()
    return report, refusal, any(not torch.equal(before[name], after[name]) for name in before)


def test_the_parity_gate_lets_equal_logprobs_through(one_rank, tiny_model):
    ((report, refusal, moved),) = one_rank.run(gated, tiny_model, 0.0)
    assert (refusal, moved) == ("", True)
    assert report["parity/logprob_abs_max"] <= 1e-5


@pytest.mark.parametrize(
    ("shift", "said"),
    [
        (0.5, "engine and learner log-probs differ by 0.5 on average and 0.5 at most"),
        (float("nan"), "engine and learner log-probs differ by nan"),
    ],
)
def test_the_parity_gate_stops_before_the_optimizers_step(one_rank, tiny_model, shift, said):
    ((_, refusal, moved),) = one_rank.run(gated, tiny_model, shift)
    assert not moved
    assert refusal.startswith(said)
    assert "algo.parity_stop=0.1" in refusal


def off_policy(_: int, folder: Path, num_updates: int) -> tuple[dict[str, float], dict[str, float], bool]:
    """Update without and with first completions by a teacher; return both reports, and True if the weights agree."""
    algo = replace(FAST, kl_weight=0.0, parity_warn=1e-3, parity_stop=1e-2)
    own = with_engine_logprobs(without_reference(mixed_groups(folder)), load_model(model_config(folder)))
    found = []
    for groups in (own, [replace(group, completions=by_a_teacher(group)) for group in own]):
        learner = open_learner(model_config(folder), algo)
        report = timeless(learner.update(plans_of(groups, num_updates=num_updates)))
        found.append((report, learner.weights()))
        learner.close()
    (before, weights), (after, others) = found
    return before, after, all(torch.equal(weights[name], others[name]) for name in weights)


def by_a_teacher(group: Group) -> tuple[Completion, ...]:
    first, *others = group.completions
    return replace(first, origin=Origin.teacher, logprobs=()), *others


@pytest.mark.parametrize("num_updates", [1, 2])
def test_a_completion_by_a_teacher_is_learnt_with_a_ratio_of_1(one_rank, tiny_model, num_updates):
    ((own, foreign, same),) = one_rank.run(off_policy, tiny_model, num_updates)
    # The same gradients bit for bit: the old log-probs were the policy's own.
    assert same
    assert without_parity(own) == without_parity(foreign)
    if num_updates == 1:
        # The gate leaves out completions without log-probs; the learner's are about -5 a token.
        assert 0 < foreign["parity/logprob_abs_mean"] <= foreign["parity/logprob_abs_max"] <= 1e-5


def without_parity(report: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in report.items() if not name.startswith("parity/")}


def changed_parts(_: int, folder: Path, model: str) -> set[str]:
    """Update a learner; return the parts of the model that changed."""
    learner = open_learner(model_config(folder, **MODELS[model]))
    before = learner.weights()
    learner.update(plans_of(mixed_groups(folder)))
    after = learner.weights()
    learner.close()
    parts = ("visual.merger", "visual", "_proj", "embed_tokens", "norm", "lm_head")
    moved = [name for name, tensor in before.items() if not torch.equal(tensor, after[name])]
    return {next(part for part in parts if part in name) for name in moved}


@pytest.mark.parametrize(
    ("model", "parts"),
    [
        ("full", LANGUAGE_MODEL | {"visual", "visual.merger"}),
        ("frozen vision", LANGUAGE_MODEL),
        ("lora", {"_proj"}),
        ("lora and projector", {"_proj", "visual.merger"}),
    ],
)
def test_frozen_parts_do_not_change(one_rank, tiny_model, model, parts):
    assert one_rank.run(changed_parts, tiny_model, model) == [parts]


def referred(_: int, folder: Path, kind: ReferenceKind) -> list[dict[str, float]]:
    """Make two updates with a KL to the starting policy, from a reference actor or from the model without adapter."""
    config = model_config(folder, **MODELS["lora"])
    learner = open_learner(config, replace(FAST, kl_weight=0.5), reference=kind)
    groups = without_reference(mixed_groups(folder))
    if kind is ReferenceKind.actor:
        answers = open_reference(config, ClusterConfig(reference=kind)).logprobs(groups)
        groups = [replace(group, reference_logprobs=each) for group, each in zip(groups, answers, strict=True)]
    reports = [learner.update(plans_of(groups)) for _ in range(2)]
    learner.close()
    return reports


def test_the_policy_without_its_adapter_is_the_same_reference_as_an_actor(one_rank, tiny_model):
    (own,), (by_actor,) = (
        one_rank.run(referred, tiny_model, kind) for kind in (ReferenceKind.adapter_off, ReferenceKind.actor)
    )
    for one, other in zip(own, by_actor, strict=True):
        for name in ("actor/loss", "actor/kl", "actor/grad_norm"):
            assert one[name] == pytest.approx(other[name], rel=1e-4, abs=1e-6)
    assert own[0]["actor/kl"] == pytest.approx(0, abs=1e-6)
    assert own[1]["actor/kl"] > 1e-3


def two_updates_of_a_batch(_: int, folder: Path) -> dict[str, float]:
    learner = open_learner(model_config(folder), replace(ALGO, lr=3e-3))
    report = learner.update(plans_of(mixed_groups(folder)[:4], num_updates=2))
    learner.close()
    return report


def test_several_updates_compare_with_the_policy_before_the_first(one_rank, tiny_model):
    (report,) = one_rank.run(two_updates_of_a_batch, tiny_model)
    algo, groups = replace(ALGO, lr=3e-3), mixed_groups(tiny_model)
    training = PlainTraining(model_config(tiny_model), algo)
    batches = [to_batch(groups[:2]), to_batch(groups[2:4])]
    old = [training.policy(batch).logprobs.detach() for batch in batches]
    losses = [
        training.step(plain_loss(training.policy(batch).logprobs, before, batch, algo))[0]
        for batch, before in zip(batches, old, strict=True)
    ]
    assert report["actor/loss"] == pytest.approx(sum(losses) / 2, rel=1e-5)
    assert report["actor/clip_ratio"] > 0


def parity(_: int, folder: Path, model: dict[str, Any]) -> tuple[dict[str, float], set[str]]:
    """Compare with the log-probs of the model loaded anew; return the report and the dtypes of the weights."""
    config = model_config(folder, **model)
    learner = open_learner(config)
    report = learner.update(plans_of(with_engine_logprobs(mixed_groups(folder), load_model(config))))
    types = {str(tensor.dtype) for tensor in learner.weights().values()}
    learner.close()
    return report, types


def test_bf16_computes_in_bf16_and_hands_out_bf16(one_rank, tiny_model):
    ((report, types),) = one_rank.run(parity, tiny_model, {"precision": Precision.bf16})
    assert types == {"torch.bfloat16"}
    assert 1e-5 < report["parity/logprob_abs_mean"] < 0.1


def test_dropout_does_not_touch_the_old_logprobs(one_rank, tiny_model):
    ((report, types),) = one_rank.run(parity, tiny_model, {"lora": LoraConfig(rank=4, dropout=0.5)})
    assert types == {"torch.float32"}
    assert report["parity/logprob_abs_max"] <= 1e-5
