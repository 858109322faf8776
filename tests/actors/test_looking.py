"""Looking under FSDP2: exact on two ranks, and no forward pass more than the old log-probs take anyway."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import rl.torchvision_ops  # noqa: F401

import numpy as np
import pytest
import torch
from builders.eager_attention import Eager, eager_shares
from builders.learners import FAST, arrays, caught, model_config, open_learner, plans_of, timeless
from builders.tiny_groups import groups_with_words

from actors.config import LoraConfig
from actors.looking import Seen
from rl.batching import deal
from rl.types import Group
from rollout.attention import attention_of
from rollout.config import LocalizeConfig
from rollout.localize import look

pytestmark = pytest.mark.slow
BUDGET = 100
LOOK = LocalizeConfig(percentile=80.0)


def open_lora_learner(folder: Path) -> Any:
    return open_learner(model_config(folder, lora=LoraConfig(rank=4)), FAST)


def seen_by_id(learner: Any, groups: list[Group], rank: int, num_ranks: int) -> dict[str, Seen]:
    """Of each group that this rank was dealt, by its sample's id."""
    share = deal(groups, num_ranks, BUDGET)[rank]
    seen = learner.look(share, LOOK, with_maps=True)
    return {
        group.prompt.sample.id: each
        for part, of_part in zip(share, seen, strict=True)
        for group, each in zip(part, of_part, strict=True)
    }


def looked_at(rank: int, folder: Path, num_ranks: int) -> dict[str, Seen]:
    learner = open_lora_learner(folder)
    seen = seen_by_id(learner, groups_with_words(folder), rank, num_ranks)
    learner.close()
    return seen


def test_what_two_ranks_see_is_what_eager_attention_shows(two_ranks, tiny_model):
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


def updated(_: int, folder: Path, looks: bool) -> dict[str, Any]:
    """Two updates, then a single one, after a look or without; passes are counted by (no gradient, gradient)."""
    learner, groups, passes = open_lora_learner(folder), groups_with_words(folder), []
    learner._policy.register_forward_hook(lambda *_: passes.append(torch.is_grad_enabled()))
    if looks:
        seen = seen_by_id(learner, groups, 0, 1)
        groups = [replace(group, old_logprobs=seen[group.prompt.sample.id][0]) for group in groups]
    report = timeless(learner.update(plans_of(groups, num_updates=2, budget=BUDGET)))
    weights, of_two = arrays(learner.weights()), (passes.count(False), passes.count(True))
    passes.clear()
    learner.update(plans_of(groups, budget=BUDGET))
    of_one = (passes.count(False), passes.count(True))
    learner.close()
    return {"report": report, "weights": weights, "passes of two": of_two, "passes of one": of_one}


def test_a_look_gives_the_old_log_probs_of_an_update_and_changes_no_bit_of_it(one_rank, tiny_model):
    (with_look,), (without,) = (one_rank.run(updated, tiny_model, looks) for looks in (True, False))
    assert with_look["passes of two"] == without["passes of two"]
    for found in (with_look, without):
        without_gradient, with_gradient = found["passes of one"]
        assert without_gradient == 0 < with_gradient
    assert with_look["report"] == without["report"]
    assert with_look["weights"].keys() == without["weights"].keys()
    assert all(np.array_equal(with_look["weights"][name], array) for name, array in without["weights"].items())


def number_looked_at_of_one_group(rank: int, folder: Path, num_ranks: int) -> int:
    learner = open_lora_learner(folder)
    (seen,) = learner.look(deal(groups_with_words(folder)[:1], num_ranks, BUDGET)[rank], LOOK, with_maps=False)
    learner.close()
    return len(seen)


def test_a_rank_without_a_group_takes_part_in_the_look_of_another(one_rank, two_ranks, tiny_model):
    assert sorted(two_ranks.run(number_looked_at_of_one_group, tiny_model, 2)) == [0, 1]
    assert one_rank.run(number_looked_at_of_one_group, tiny_model, 1) == [1]


def look_with_a_mute_group_on_the_last_rank(rank: int, folder: Path, num_ranks: int) -> tuple[str, str, float]:
    learner, group = open_lora_learner(folder), groups_with_words(folder)[0]
    if rank == num_ranks - 1:
        group = replace(group, prompt=replace(group.prompt, anomaly_tokens=()))
    found = caught(lambda: learner.look([[group]], LOOK, with_maps=False))
    learner.close()
    return found


def test_all_ranks_refuse_together_a_prompt_without_the_words(two_ranks, tiny_model):
    for kind, sentence, seconds in two_ranks.run(look_with_a_mute_group_on_the_last_rank, tiny_model, 2):
        assert kind == "ValueError" and "none of data.anomaly_words" in sentence
        assert seconds < 60
