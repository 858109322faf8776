"""Truncated sampling: the kept tokens against transformers, and the policy gradient of what is sampled, by hand."""

import math

import rl.import_fixes  # noqa: F401

import pytest
import torch
from transformers import MinPLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from rl.truncation import KEEPS_ALL, Truncation, truncated

LOGITS = torch.tensor([[0.5, 0.25, 0.15, 0.06, 0.04]]).log()
REWARDS = torch.tensor([1.0, -2.0, 0.5, 3.0, 7.0], dtype=torch.float64)
BEST_THREE = Truncation(top_k=3)


def kept(by: Truncation, label: int = 0) -> list[int]:
    return torch.isfinite(truncated(LOGITS, torch.tensor([label]), by))[0].nonzero()[:, 0].tolist()


@pytest.mark.parametrize(
    ("by", "tokens"),
    [
        (KEEPS_ALL, [0, 1, 2, 3, 4]),
        (Truncation(top_k=2), [0, 1]),
        (Truncation(top_k=99), [0, 1, 2, 3, 4]),
        (Truncation(min_p=0.2), [0, 1, 2]),
        # 0.5 + 0.25 < 0.8, so the third token is needed to reach it.
        (Truncation(top_p=0.8), [0, 1, 2]),
        (Truncation(top_p=0.74), [0, 1]),
        (Truncation(top_p=1e-9), [0]),
        # Of the two best, 0.5 / 0.75 is less than 0.7 and more than 0.6.
        (Truncation(top_k=2, top_p=0.7), [0, 1]),
        (Truncation(top_k=2, top_p=0.6), [0]),
    ],
)
def test_the_likeliest_tokens_stay(by: Truncation, tokens: list[int]):
    assert kept(by) == tokens


def test_a_sampled_token_stays_wherever_it_is():
    assert kept(BEST_THREE, label=4) == [0, 1, 2, 4]


def test_the_kept_tokens_are_those_of_transformers():
    torch.manual_seed(0)
    logits = 3 * torch.randn(200, 500)
    by = Truncation(top_p=0.9, top_k=20, min_p=0.05)
    expected = logits.clone()
    for warp in (MinPLogitsWarper(by.min_p), TopKLogitsWarper(by.top_k), TopPLogitsWarper(by.top_p)):
        expected = warp(None, expected)
    found = truncated(logits, logits.argmax(-1), by)
    assert torch.equal(found, expected)
    assert 1 < torch.isfinite(found).sum(-1).float().mean() < 20


def sampled(logits: torch.Tensor) -> torch.Tensor:
    """Return the probabilities of truncated sampling, computed by hand: the three best tokens, scaled to 1."""
    best = logits.topk(3).indices
    probabilities = torch.zeros_like(logits)
    probabilities[best] = logits[best].softmax(-1)
    return probabilities


def slope(logits: torch.Tensor, width: float = 1e-6) -> torch.Tensor:
    """Return the gradient of the expected reward of truncated sampling, by finite differences."""
    steps = width * torch.eye(len(logits), dtype=logits.dtype)
    return torch.stack([(sampled(logits + step) - sampled(logits - step)) @ REWARDS / (2 * width) for step in steps])


def policy_gradient(logits: torch.Tensor, by: Truncation) -> torch.Tensor:
    """Return Σ q(y) R(y) ∇ log π(y) over the tokens y that are sampled with q, π being truncated or not."""
    moved = logits.clone().requires_grad_()
    tokens = torch.arange(len(logits))
    rows = truncated(moved.expand(len(logits), -1), tokens, by).log_softmax(-1)
    (sampled(logits) * REWARDS * rows.diagonal()).sum().backward()
    return moved.grad


def test_log_probs_under_the_truncation_give_the_gradient_of_what_is_sampled():
    logits = LOGITS[0].double()
    assert torch.allclose(policy_gradient(logits, BEST_THREE), slope(logits), atol=1e-8)


def test_log_probs_over_all_tokens_add_the_mean_reward_times_the_gradient_of_the_kept_mass():
    logits = LOGITS[0].double().requires_grad_()
    best = logits.topk(3).indices
    (mass,) = torch.autograd.grad(logits.softmax(-1)[best].sum().log(), logits)
    logits = logits.detach()
    bias = policy_gradient(logits, KEEPS_ALL) - slope(logits)
    assert torch.allclose(bias, (sampled(logits) @ REWARDS) * mass, atol=1e-8)
    # Tokens that are never sampled are pushed too.
    assert bias[3:].abs().min() > 1e-3


def test_the_ratio_of_truncated_log_probs_weighs_old_samples_as_new_ones():
    old = LOGITS[0].double()
    new = old + torch.tensor([-0.2, 0.3, 0.1, 0.8, 0.9], dtype=torch.float64)
    tokens = old.topk(3).indices

    def weighed(by: Truncation) -> float:
        logprobs = [truncated(each.expand(3, -1), tokens, by).log_softmax(-1) for each in (new, old)]
        ratios = (logprobs[0] - logprobs[1]).gather(-1, tokens[:, None])[:, 0].exp()
        return float((sampled(old)[tokens] * ratios * REWARDS[tokens]).sum())

    expected = float(sampled(new) @ REWARDS)
    assert math.isclose(weighed(BEST_THREE), expected, abs_tol=1e-12)
    assert not math.isclose(weighed(KEEPS_ALL), expected, abs_tol=1e-3)
