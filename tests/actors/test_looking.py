"""Looking under FSDP2: exact on two ranks, and no forward pass more than the old log-probs take anyway."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from eager_attention import Eager, eager_shares
from looking_cases import LOOK, look_and_update, looked_groups, same
from ranks import run_ranks

from rollout.attention import attention_of
from rollout.localize import look

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def pair(tiny_model: Path) -> list[dict[str, Any]]:
    return run_ranks(look_and_update, 2, tiny_model, 2, num_groups=2, timeout_s=240)


@pytest.fixture(scope="module")
def single(tiny_model: Path) -> dict[str, Any]:
    (found,) = run_ranks(look_and_update, 1, tiny_model, 1, num_groups=2, timeout_s=240)
    return found


def test_what_two_ranks_see_is_what_eager_attention_shows(pair, tiny_model):
    seen = dict(item for rank in pair for item in rank["looks"])
    eager = Eager.from_pretrained(tiny_model, dtype=torch.float32, attn_implementation="eager").eval()
    gaps = []
    for group in looked_groups(tiny_model):
        expected = attention_of(group, torch.cat(eager_shares(eager, group)))
        for found, attention in zip(seen[group.prompt.sample.id][1], expected, strict=True):
            wanted = look(attention, LOOK, with_maps=True)
            gaps.append(np.abs(np.array(found.relevance) - np.array(wanted.relevance)).max())
            gaps.append(np.abs(found.maps.every - wanted.maps.every).max())
            assert found.top == wanted.top and found.agreement == pytest.approx(wanted.agreement)
    print(f"figure: two FSDP ranks: {max(gaps):.0e}")
    assert max(gaps) <= 1e-6


def test_a_step_of_two_updates_makes_the_passes_of_one_that_does_not_look(single):
    assert single["with look"]["passes"] == single["without"]["passes"]


def test_an_update_after_a_look_makes_no_pass_for_old_log_probs(single):
    for kind in ("with look", "without"):
        without_gradient, with_gradient = single[kind]["passes of a single update"]
        assert without_gradient == 0 < with_gradient


def test_a_rank_without_a_group_takes_part_in_the_look_of_another(pair, single):
    assert sorted(len(rank["of one group"]) for rank in pair) == [0, 1]
    assert len(single["of one group"]) == 1


@pytest.mark.parametrize("rank", [0, 1])
def test_all_ranks_refuse_together_a_prompt_without_the_words(pair, rank):
    kind, sentence, seconds = pair[rank]["refused"]
    assert kind == "ValueError" and "none of data.anomaly_words" in sentence
    assert seconds < 60


def test_what_is_learnt_from_the_log_probs_of_the_look_is_the_same_bit_for_bit(single):
    assert single["with look"]["report"] == single["without"]["report"]
    assert same(single["with look"]["weights"], single["without"]["weights"])
