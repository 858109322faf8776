import math
from dataclasses import replace

import hypothesis
import pytest
import torch
from hypothesis import strategies as st

from builders.preference_inputs import one_pair, pair_scale, preference_inputs
from rl.config import check_ranges
from rl.loss import sft_loss
from rl.preference_config import KtoConfig, LossSpan, PairLoss, PreferenceConfig
from rl.taught.preference import PairScale, PreferenceInputs, preference_loss, span_mask
from rl.verl_core import Scale

GIVEN = ("logprobs", "reference_logprobs", "response_mask", "knowledge_mask")
margins = st.floats(-30, 30)


def of_one_pair(apart: float, **config: object) -> float:
    scale = PairScale(dp_size=1, num_pairs=1, num_chosen_tokens=1)
    return preference_loss(one_pair(apart, 0.0), PreferenceConfig(**config), scale)[0].item()


Variant = tuple[PreferenceConfig, LossSpan]
VARIANTS = [
    (PreferenceConfig(loss=loss, length_normalized=normalized, label_smoothing=0.1, sft_weight=0.3), span)
    for loss in PairLoss
    for normalized in (False, True)
    for span in LossSpan
]


def named(variant: Variant) -> str:
    config, span = variant
    return f"{config.loss.value}-{span.value}{'-mean' * config.length_normalized}"


@pytest.mark.parametrize(
    ("loss", "apart", "expected"),
    [
        (PairLoss.sigmoid, 0.0, math.log(2)),
        (PairLoss.sigmoid, 2.0, math.log(1 + math.exp(-1))),
        (PairLoss.sigmoid, -2.0, math.log(1 + math.exp(1))),
        (PairLoss.hinge, 1.0, 0.5),
        (PairLoss.hinge, 3.0, 0.0),
        (PairLoss.hinge, -2.0, 2.0),
        (PairLoss.ipo, 0.0, 1.0),
        (PairLoss.ipo, 1.0, 0.0),
        (PairLoss.ipo, 3.0, 4.0),
    ],
)
def test_each_loss_of_a_margin_by_hand(loss, apart, expected):
    assert of_one_pair(apart, loss=loss, beta=0.5) == pytest.approx(expected)


@hypothesis.given(apart=margins, smoothing=st.floats(0, 0.5), loss=st.sampled_from(PairLoss))
def test_label_smoothing_mixes_in_the_loss_of_the_swapped_pair(apart, smoothing, loss):
    right, swapped = of_one_pair(apart, loss=loss), of_one_pair(-apart, loss=loss)
    found = of_one_pair(apart, loss=loss, label_smoothing=smoothing)
    assert found == pytest.approx((1 - smoothing) * right + smoothing * swapped)


@hypothesis.given(apart=margins, loss=st.sampled_from(PairLoss))
def test_with_half_of_the_labels_in_doubt_neither_side_is_preferred(apart, loss):
    config = {"loss": loss, "label_smoothing": 0.5}
    assert of_one_pair(apart, **config) == pytest.approx(of_one_pair(-apart, **config))
    assert of_one_pair(0.0, **config) <= of_one_pair(apart, **config) + 1e-12
    even = one_pair(0.0, 0.0)
    preference_loss(even, PreferenceConfig(**config), pair_scale())[0].backward()
    assert even.logprobs.grad.abs().max() == 0


def test_without_doubt_the_policy_is_pulled_to_the_chosen_and_from_the_rejected_answer():
    given = one_pair(0.0, 0.0)
    loss, _ = preference_loss(given, PreferenceConfig(beta=0.5), PairScale(dp_size=1, num_pairs=1, num_chosen_tokens=1))
    loss.backward()
    assert given.logprobs.grad.flatten().tolist() == pytest.approx([-0.25, 0.25])


@pytest.mark.parametrize("variant", VARIANTS, ids=named)
def test_swapping_every_pair_turns_margins_round_and_complements_accuracies(variant):
    config, span = variant
    given = preference_inputs(span=span)
    swapped = replace(given, chosen=given.rejected, rejected=given.chosen)
    (_, found), (_, turned) = (preference_loss(part, config, pair_scale(span)) for part in (given, swapped))
    for name in ("", "knowledge_", "reasoning_"):
        assert turned[f"preference/{name}margin/mean"] == pytest.approx(-found[f"preference/{name}margin/mean"])
        assert turned[f"preference/{name}accuracy/mean"] == 1 - found[f"preference/{name}accuracy/mean"]
    assert turned["preference/chosen_reward/mean"] == pytest.approx(found["preference/rejected_reward/mean"])
    assert turned["preference/chosen_logprob/mean"] == pytest.approx(found["preference/rejected_logprob/mean"])


@pytest.mark.parametrize("variant", VARIANTS, ids=named)
def test_the_order_of_pairs_and_rows_does_not_matter(variant):
    config, span = variant
    given = preference_inputs(span=span)
    rows, pairs = torch.tensor([3, 5, 0, 4, 1, 2]), torch.tensor([2, 0, 3, 1])
    place = rows.argsort()
    moved = PreferenceInputs(
        **{name: getattr(given, name)[rows] for name in GIVEN},
        chosen=place[given.chosen[pairs]],
        rejected=place[given.rejected[pairs]],
        span=span,
    )
    found, expected = (preference_loss(part, config, pair_scale(span)) for part in (moved, given))
    assert found[0].item() == pytest.approx(expected[0].item())
    assert found[1] == pytest.approx(expected[1])


@pytest.mark.parametrize("variant", VARIANTS, ids=named)
def test_only_what_changed_against_the_reference_counts(variant):
    config, span = variant
    given, config = preference_inputs(span=span), replace(config, sft_weight=0.0)
    likelier = replace(given, logprobs=given.logprobs - 1.5, reference_logprobs=given.reference_logprobs - 1.5)
    losses = [preference_loss(part, config, pair_scale(span))[0].item() for part in (given, likelier)]
    assert losses[0] == pytest.approx(losses[1])


@pytest.mark.parametrize("loss", PairLoss)
def test_a_normalised_margin_does_not_grow_when_answers_are_said_twice(loss):
    given = preference_inputs()
    twice = replace(given, **{name: torch.cat([getattr(given, name)] * 2, dim=1) for name in GIVEN})
    config = PreferenceConfig(loss=loss, length_normalized=True)
    losses = [preference_loss(part, config, pair_scale())[0].item() for part in (given, twice)]
    assert losses[0] == pytest.approx(losses[1])


@pytest.mark.parametrize("variant", VARIANTS, ids=named)
def test_micro_batches_of_two_ranks_add_up_to_the_whole_step(variant):
    config, span = variant
    whole, parts = (preference_inputs(span=span) for _ in range(2))
    loss, metrics = preference_loss(whole, config, pair_scale(span))
    loss.backward()
    total, sums = 0.0, dict.fromkeys(metrics, 0.0)
    nothing = slice(0, 0)
    for pairs in (slice(0, 1), slice(1, 3), slice(3, 4), nothing):
        share, found = preference_loss(
            replace(parts, chosen=parts.chosen[pairs], rejected=parts.rejected[pairs]),
            config,
            pair_scale(span, dp_size=2),
        )
        # FSDP averages over its two ranks.
        (share / 2).backward()
        total += share.item() / 2
        sums = {name: sums[name] + found[name] for name in metrics}
    assert total == pytest.approx(loss.item())
    assert torch.allclose(parts.logprobs.grad, whole.logprobs.grad, rtol=1e-12)
    assert sums == pytest.approx(metrics)


@pytest.mark.parametrize("variant", VARIANTS, ids=named)
def test_what_stands_outside_the_mask_reaches_neither_loss_nor_gradient(variant):
    config, span = variant
    clean, dirty = (preference_inputs(span=span) for _ in range(2))
    spoiled = {
        name: getattr(dirty, name).detach().masked_fill(~dirty.response_mask, float("nan"))
        for name in ("logprobs", "reference_logprobs")
    }
    dirty = replace(dirty, **{**spoiled, "logprobs": spoiled["logprobs"].requires_grad_()})
    scale = pair_scale(span)
    (expected, metrics), (found, found_metrics) = (preference_loss(part, config, scale) for part in (clean, dirty))
    expected.backward()
    found.backward()
    assert (found.item(), found_metrics) == (expected.item(), metrics)
    assert torch.equal(dirty.logprobs.grad, clean.logprobs.grad)


@pytest.mark.parametrize("loss", PairLoss)
def test_a_normalised_margin_compares_means_over_each_sides_span(loss):
    given = PreferenceInputs(
        logprobs=torch.tensor([[3.0, 1.0, 7.0], [9.0, 9.0, 9.0], [-5.0, 9.0, 9.0]]),
        reference_logprobs=torch.zeros(3, 3),
        response_mask=torch.tensor([[True, True, True], [True, True, True], [True, True, False]]),
        knowledge_mask=torch.tensor([[True, True, False], [False, False, False], [True, False, False]]),
        chosen=torch.tensor([0, 0]),
        rejected=torch.tensor([1, 2]),
        span=LossSpan.knowledge,
    )
    scale = PairScale(dp_size=1, num_pairs=2, num_chosen_tokens=4)
    found, _ = preference_loss(given, PreferenceConfig(loss=loss, length_normalized=True), scale)
    # The chosen mean is (3 + 1) / 2; the rejected ones are 0 and -5.
    assert found.item() == pytest.approx((of_one_pair(2.0, loss=loss) + of_one_pair(7.0, loss=loss)) / 2)


def token_scale(num_tokens: int) -> Scale:
    return Scale(dp_size=1, batch_num_tokens=num_tokens, global_batch_size=1, loss_scale_factor=1)


@pytest.mark.parametrize("span", LossSpan)
def test_the_added_term_is_the_supervised_loss_of_the_chosen_spans(span):
    given, scale = preference_inputs(span=span), pair_scale(span)
    mask = span_mask(given.response_mask, given.knowledge_mask, span)
    alone, found = (preference_loss(given, PreferenceConfig(sft_weight=weight), scale) for weight in (0.0, 0.3))
    expected = sft_loss(given.logprobs[given.chosen], mask[given.chosen], token_scale(scale.num_chosen_tokens))
    assert found[0].item() - alone[0].item() == pytest.approx(0.3 * expected.item())
    assert found[1]["preference/sft_loss/mean"] == pytest.approx(expected.item())


def test_the_supervised_loss_serves_spans_with_gaps_and_answers_without_one():
    logprobs = torch.tensor([[-1.0, float("nan"), -4.0], [-8.0, -16.0, -32.0]], requires_grad=True)
    mask = torch.tensor([[True, False, True], [False, False, False]])
    loss = sft_loss(logprobs, mask, token_scale(2))
    loss.backward()
    assert loss.item() == 2.5
    assert logprobs.grad.tolist() == [[-0.5, 0, -0.5], [0, 0, 0]]


def test_log_probs_of_long_answers_in_single_precision_lose_nothing_that_matters():
    rng = torch.Generator().manual_seed(0)
    reference = -2 * torch.rand(8, 500, generator=rng) - 0.01
    logprobs = reference + 0.1 * torch.randn(8, 500, generator=rng)
    found, exact = (
        PreferenceInputs(
            logprobs=logprobs.to(dtype),
            reference_logprobs=reference.to(dtype),
            response_mask=torch.ones(8, 500, dtype=torch.bool),
            knowledge_mask=None,
            chosen=torch.arange(4),
            rejected=torch.arange(4, 8),
        )
        for dtype in (torch.float32, torch.float64)
    )
    scale = PairScale(dp_size=1, num_pairs=4, num_chosen_tokens=2000)
    losses = [preference_loss(part, PreferenceConfig(), scale)[0].item() for part in (found, exact)]
    assert abs(losses[0] - losses[1]) <= 1e-6


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (PreferenceConfig(beta=0.0), "beta must be > 0"),
        (PreferenceConfig(label_smoothing=0.6), "label_smoothing must be ≤ 0.5"),
        (PreferenceConfig(sft_weight=-1.0), "sft_weight must be ≥ 0"),
        (KtoConfig(undesirable_weight=-1.0), "undesirable_weight must be ≥ 0"),
    ],
)
def test_a_key_out_of_its_range_is_named(config, said):
    with pytest.raises(ValueError, match=said):
        check_ranges(config)
