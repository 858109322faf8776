"""Comparison of advantages and losses with verl's functions, on random rewards and ragged lengths."""

from collections.abc import Sequence
from dataclasses import replace

import rl.import_fixes  # noqa: F401

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from verl.trainer.ppo import core_algos
from verl.utils.seqlen_balancing import get_seqlen_balanced_partitions
from verl.workers.config import ActorConfig

from builders.token_groups import bare_prompt, token_group
from rl.advantage import group_advantages
from rl.algorithm import Aggregation, AlgoConfig, Baseline, BatchNorm, PolicyLoss
from rl.balancing import balanced_partitions
from rl.loss import LossInputs, policy_loss
from rl.types import Group, Score
from rl.verl_core import Scale

WEIGHTS = {"accuracy": 1.0, "box": 0.5, "format": 0.25}
SEEDS = range(5)


def random_groups(seed: int) -> list[Group]:
    """Return groups of 2 to 6 completions of 1 to 7 tokens; the rewards are eighths, exact in every precision."""
    rng = np.random.default_rng(seed)
    groups = []
    for _ in range(5):
        answers = [[3] * int(length) for length in rng.integers(1, 8, rng.integers(2, 7))]
        values = [{name: int(rng.integers(-8, 9)) / 8 for name in WEIGHTS} for _ in answers]
        totals = [sum(WEIGHTS[name] * value for name, value in parts.items()) for parts in values]
        scores = [Score(total=total, components=parts) for total, parts in zip(totals, values, strict=True)]
        groups.append(replace(token_group(bare_prompt([1, 2]), answers), scores=tuple(scores)))
    return groups


def ours(groups: Sequence[Group], **config: object) -> torch.Tensor:
    """Return our advantages, [completions]."""
    found = group_advantages(groups, AlgoConfig(**config), WEIGHTS)
    return torch.tensor([value for group in found for value in group.advantages], dtype=torch.float64)


class Theirs:
    """A batch in the form that verl's estimators take: the reward stands at the last token of each completion."""

    def __init__(self, groups: Sequence[Group]) -> None:
        lengths = torch.tensor([len(item.token_ids) for group in groups for item in group.completions])
        self.scores = [score for group in groups for score in group.scores]
        self.last = (torch.arange(len(lengths)), lengths - 1)
        self.mask = (torch.arange(int(lengths.max()))[None] < lengths[:, None]).double()
        self.index = np.array([number for number, group in enumerate(groups) for _ in group.completions])

    def rewards(self) -> torch.Tensor:
        rewards = torch.zeros_like(self.mask)
        rewards[self.last] = torch.tensor([score.total for score in self.scores], dtype=torch.float64)
        return rewards

    def of(self, name: str, **options: object) -> torch.Tensor:
        estimate = core_algos.get_adv_estimator_fn(name)
        values, _ = estimate(self.rewards(), self.mask, index=self.index, **options)
        return values[:, 0].double()

    def gdpo(self, **options: object) -> torch.Tensor:
        return self.of(
            "gdpo",
            config={"gdpo_reward_keys": list(WEIGHTS), "gdpo_reward_weights": list(WEIGHTS.values())},
            non_tensor_batch={name: np.array([score.components[name] for score in self.scores]) for name in WEIGHTS},
            batch={"prompts": torch.zeros(len(self.mask), 0), "attention_mask": self.mask.long()},
            **options,
        )


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("normalized", [True, False])
def test_grpo_and_dr_grpo_match_verl_to_the_last_bit(seed, normalized):
    groups = random_groups(seed)
    assert torch.equal(
        ours(groups, normalize_std=normalized), Theirs(groups).of("grpo", norm_adv_by_std_in_grpo=normalized)
    )


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", ["rloo", "rloo_vectorized"])
def test_rloo_matches_verl(seed, name):
    groups = random_groups(seed)
    found = ours(groups, baseline=Baseline.leave_one_out, normalize_std=False)
    assert (found - Theirs(groups).of(name)).abs().max() <= 1e-6


@pytest.mark.parametrize("seed", SEEDS)
def test_reinforce_pp_baseline_matches_verl(seed):
    groups = random_groups(seed)
    found = ours(groups, normalize_std=False, normalize_batch=BatchNorm.tokens)
    assert (found - Theirs(groups).of("reinforce_plus_plus_baseline")).abs().max() <= 1e-6


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("normalized", [True, False])
def test_gdpo_over_tokens_matches_verl(seed, normalized):
    groups = random_groups(seed)
    found = ours(groups, normalize_components=True, normalize_std=normalized, normalize_batch=BatchNorm.tokens)
    # verl holds the components in float32.
    assert (found - Theirs(groups).gdpo(norm_adv_by_std_in_grpo=normalized)).abs().max() <= 1e-6


@pytest.mark.parametrize("aggregation", Aggregation)
@pytest.mark.parametrize("policy", PolicyLoss)
def test_each_policy_loss_matches_verls_of_that_name(policy, aggregation):
    rng = torch.Generator().manual_seed(7)
    old = torch.randn(6, 5, generator=rng, dtype=torch.float64) - 3
    new = old + 0.3 * torch.randn(6, 5, generator=rng, dtype=torch.float64)
    advantages = torch.randn(6, 1, generator=rng, dtype=torch.float64)
    mask = torch.arange(5)[None] < torch.tensor([5, 2, 1, 4, 3, 5])[:, None]
    given = LossInputs(logprobs=new, old_logprobs=old, reference_logprobs=None, advantages=advantages, mask=mask)
    scale = Scale(dp_size=1, batch_num_tokens=20, global_batch_size=6, loss_scale_factor=5)
    config = AlgoConfig(policy_loss=policy, aggregation=aggregation, clip_low=0.1, clip_high=0.3)
    found, metrics = policy_loss(given, config, scale)

    name = "vanilla" if policy is PolicyLoss.clipped else policy.value
    options = ActorConfig(
        strategy="fsdp2",
        rollout_n=6,
        use_dynamic_bsz=True,
        clip_ratio_low=0.1,
        clip_ratio_high=0.3,
        clip_ratio_c=100.0,
    )
    expected, theirs = core_algos.get_policy_loss_fn(name)(
        old, new, advantages, mask.double(), aggregation.value, options
    )
    assert abs(found - expected) <= 1e-6
    assert metrics["clip_ratio"] / 20 == pytest.approx(theirs["actor/pg_clipfrac"])


@given(st.data())
def test_work_is_dealt_as_verl_deals_it(data):
    sizes = data.draw(st.lists(st.integers(1, 5000) | st.integers(1, 3), min_size=1, max_size=30))
    count = data.draw(st.integers(1, len(sizes)))
    assert balanced_partitions(sizes, count) == get_seqlen_balanced_partitions(sizes, count, equal_size=False)


@given(st.lists(st.integers(1, 50), max_size=10), st.integers(1, 12))
def test_every_piece_of_work_is_in_one_part_and_no_part_is_missing(sizes, count):
    parts = balanced_partitions(sizes, count)
    assert len(parts) == count
    assert sorted(index for part in parts for index in part) == list(range(len(sizes)))
