"""Looks under FSDP2: exact on two ranks, from the same forward pass that gives the old log-probs."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import rl.import_fixes  # noqa: F401

import numpy as np
import pytest
import torch

from actors.config import LoraConfig
from builders.eager_attention import Eager, eager_shares
from builders.learners import FAST, arrays, caught, model_config, open_learner, plans_of, timeless
from builders.tiny_groups import groups_with_words
from rl.batching import deal
from rl.types import Group, Observed
from rollout.attention import attention_of
from rollout.config import LocalizeConfig
from rollout.localize import look

pytestmark = pytest.mark.slow
BUDGET = 100
LOOK = LocalizeConfig(percentile=80.0)


def open_lora_learner(folder: Path) -> Any:
    return open_learner(model_config(folder, lora=LoraConfig(rank=4)), FAST)


def dealt(groups: list[Group], rank: int, num_ranks: int) -> list[list[Group]]:
    return [[groups[index] for index in part] for part in deal(groups, num_ranks, BUDGET)[rank]]


def seen_by_id(learner: Any, groups: list[Group], rank: int, num_ranks: int) -> dict[str, Observed]:
    """Observe the groups dealt to this rank; return the result of each by its sample's id."""
    share = dealt(groups, rank, num_ranks)
    seen = learner.observe(share, LOOK, with_maps=True)
    return {
        group.prompt.sample.id: each
        for part, of_part in zip(share, seen, strict=True)
        for group, each in zip(part, of_part, strict=True)
    }


def looked_at(rank: int, folder: Path, num_ranks: int) -> dict[str, Observed]:
    learner = open_lora_learner(folder)
    seen = seen_by_id(learner, groups_with_words(folder), rank, num_ranks)
    learner.close()
    return seen


def test_the_looks_of_two_ranks_are_those_of_eager_attention(two_ranks, tiny_model):
    first, second = two_ranks.run(looked_at, tiny_model, 2)
    seen = first | second
    eager = Eager.from_pretrained(tiny_model, dtype=torch.float32, attn_implementation="eager").eval()
    gaps = []
    for group in groups_with_words(tiny_model):
        expected = attention_of(group, torch.cat(eager_shares(eager, group)))
        for found, attention in zip(seen[group.prompt.sample.id][1], expected, strict=True):
            wanted = look(attention, LOOK, with_maps=True)
            gaps.append(np.abs(np.array(found.relevance) - np.array(wanted.relevance)).max())
            gaps.append(np.abs(found.maps.every - wanted.maps.every).max())
            assert found.top == wanted.top and found.agreement == pytest.approx(wanted.agreement)
    print(f"figure: two FSDP ranks: {max(gaps):.0e}")
    assert max(gaps) <= 1e-6


@dataclass(frozen=True, kw_only=True)
class Updated:
    """Results of an update in two parts and of an update in one part after it."""

    report: dict[str, float]
    weights: dict[str, np.ndarray]
    passes_of_two: tuple[int, int]
    """Numbers of forward passes without and with gradient in the first update."""
    passes_of_one: tuple[int, int]
    """Numbers of forward passes without and with gradient in the second update."""


def updated(rank: int, folder: Path, num_ranks: int, looks: bool) -> Updated:
    """Update with the old log-probs of a look, or without a look."""
    learner, groups, passes = open_lora_learner(folder), groups_with_words(folder), []
    learner._policy.register_forward_hook(lambda *_: passes.append(torch.is_grad_enabled()))
    if looks:
        by_rank: list[Any] = [None] * num_ranks
        torch.distributed.all_gather_object(by_rank, seen_by_id(learner, groups, rank, num_ranks))
        seen = {name: each for of_rank in by_rank for name, each in of_rank.items()}
        groups = [replace(group, old_logprobs=seen[group.prompt.sample.id][0]) for group in groups]
    report = learner.update(plans_of(groups, rank, num_ranks=num_ranks, num_updates=2, budget=BUDGET))
    weights, of_two = arrays(learner.weights()), (passes.count(False), passes.count(True))
    passes.clear()
    learner.update(plans_of(groups, rank, num_ranks=num_ranks, budget=BUDGET))
    of_one = (passes.count(False), passes.count(True))
    learner.close()
    return Updated(report=timeless(report), weights=weights, passes_of_two=of_two, passes_of_one=of_one)


def test_a_look_gives_the_old_log_probs_of_an_update_and_changes_no_bit_of_it(one_rank, tiny_model):
    (with_look,), (without,) = (one_rank.run(updated, tiny_model, 1, looks) for looks in (True, False))
    assert with_look.passes_of_two == without.passes_of_two
    for found in (with_look, without):
        without_gradient, with_gradient = found.passes_of_one
        assert without_gradient == 0 < with_gradient
    assert with_look.report == without.report
    assert with_look.weights.keys() == without.weights.keys()
    assert all(np.array_equal(with_look.weights[name], array) for name, array in without.weights.items())


def test_two_ranks_learn_from_their_looks_log_probs_as_one_rank_does(one_rank, two_ranks, tiny_model):
    (alone,), (first, _) = (ranks.run(updated, tiny_model, ranks.num_ranks, True) for ranks in (one_rank, two_ranks))
    for name in ("actor/loss", "actor/grad_norm", "actor/entropy"):
        assert first.report[name] == pytest.approx(alone.report[name], rel=1e-4)


def num_looks_of_one_group(rank: int, folder: Path, num_ranks: int) -> int:
    learner = open_lora_learner(folder)
    (seen,) = learner.observe(dealt(groups_with_words(folder)[:1], rank, num_ranks), LOOK, with_maps=False)
    learner.close()
    return len(seen)


def test_a_rank_without_a_group_takes_part_in_the_look_of_another(one_rank, two_ranks, tiny_model):
    assert sorted(two_ranks.run(num_looks_of_one_group, tiny_model, 2)) == [0, 1]
    assert one_rank.run(num_looks_of_one_group, tiny_model, 1) == [1]


def look_without_words_on_the_last_rank(rank: int, folder: Path, num_ranks: int) -> tuple[tuple[str, str, float], int]:
    """Observe a prompt without anomaly words on the last rank; return the refusal, and the size of the next look."""
    learner, group = open_lora_learner(folder), groups_with_words(folder)[0]
    mute = replace(group, prompt=replace(group.prompt, anomaly_tokens=()))
    mine = mute if rank == num_ranks - 1 else group
    refusal = caught(lambda: learner.observe([[mine]], LOOK, with_maps=False))
    (seen,) = learner.observe([[group]], LOOK, with_maps=False)
    learner.close()
    return refusal, len(seen)


def test_all_ranks_refuse_together_a_prompt_without_the_words_and_go_on(two_ranks, tiny_model):
    for (kind, sentence, seconds), num_seen in two_ranks.run(look_without_words_on_the_last_rank, tiny_model, 2):
        assert kind == "UserError" and "none of data.anomaly_words" in sentence
        assert seconds < 60
        assert num_seen == 1
