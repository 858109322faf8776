import math
from dataclasses import replace

import pytest
import torch

from builders.preference_inputs import CHOSEN, KNOWLEDGE, LENGTHS, REJECTED, pair_scale, preference_inputs
from rl.preference_config import LossSpan, PairLoss, PreferenceConfig
from rl.taught.preference import PairScale, PreferenceInputs, preference_loss


def loss_and_gradient(given: PreferenceInputs, config: PreferenceConfig) -> tuple[float, torch.Tensor]:
    loss, _ = preference_loss(given, config, pair_scale(given.span))
    loss.backward()
    return loss.item(), given.logprobs.grad


def kr_dpo_in_plain_python(seed: int, beta: float) -> float:
    """Eq. 5 of the paper, token by token: -E log σ(β log π/π_ref(k_w, c) - β log π/π_ref(k_l, c))."""
    given, total = preference_inputs(seed), 0.0
    new, reference = given.logprobs.tolist(), given.reference_logprobs.tolist()

    def log_ratio(row: int) -> float:
        knowledge = range(KNOWLEDGE[row])
        reasoning = range(KNOWLEDGE[row], LENGTHS[row])
        policy = math.fsum(new[row][t] for t in knowledge) + math.fsum(new[row][t] for t in reasoning)
        frozen = math.fsum(reference[row][t] for t in knowledge) + math.fsum(reference[row][t] for t in reasoning)
        return policy - frozen

    for better, worse in zip(CHOSEN, REJECTED, strict=True):
        margin = beta * log_ratio(better) - beta * log_ratio(worse)
        total -= math.log(1 / (1 + math.exp(-margin)))
    return total / len(CHOSEN)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("beta", [0.1, 1.0])
def test_knowledge_routed_dpo_is_equation_5_of_the_paper(seed, beta):
    found, _ = preference_loss(preference_inputs(seed), PreferenceConfig(beta=beta), pair_scale())
    assert abs(found.item() - kr_dpo_in_plain_python(seed, beta)) <= 1e-6


@pytest.mark.parametrize("loss", PairLoss)
@pytest.mark.parametrize("normalized", [False, True])
def test_a_knowledge_span_over_the_whole_answer_is_plain_dpo(loss, normalized):
    config = PreferenceConfig(loss=loss, length_normalized=normalized, sft_weight=0.2)
    whole = replace(preference_inputs(), knowledge_mask=preference_inputs().response_mask)
    plain = replace(preference_inputs(), knowledge_mask=None)
    routed, _ = preference_loss(replace(whole, span=LossSpan.knowledge), config, pair_scale())
    routed.backward()
    expected, gradient = loss_and_gradient(plain, config)
    assert routed.item() == expected
    assert torch.equal(whole.logprobs.grad, gradient)


def test_a_loss_over_the_knowledge_leaves_the_reasoning_alone():
    given = preference_inputs(span=LossSpan.knowledge)
    _, gradient = loss_and_gradient(given, PreferenceConfig(sft_weight=0.5))
    assert (gradient != 0).equal(given.knowledge_mask)


def test_margins_of_knowledge_and_reasoning_add_up_to_that_of_the_answer():
    given = replace(
        preference_inputs(),
        logprobs=torch.tensor([[1.0, 2.0, 4.0], [0.5, 3.0, 9.0], [0.0, 0.0, 0.0]]),
        reference_logprobs=torch.zeros(3, 3),
        response_mask=torch.tensor([[True, True, True], [True, True, False], [True, False, False]]),
        knowledge_mask=torch.tensor([[True, False, False], [True, False, False], [True, False, False]]),
        chosen=torch.tensor([0, 2]),
        rejected=torch.tensor([1, 0]),
    )
    _, found = preference_loss(
        given, PreferenceConfig(beta=0.5), PairScale(dp_size=1, num_pairs=2, num_chosen_tokens=4)
    )
    # Gains (knowledge, reasoning) of the rows: (1, 6), (0.5, 3), (0, 0).
    assert found == pytest.approx(
        {
            "preference/sft_loss/mean": -7 / 4,
            "preference/chosen_reward/mean": 0.5 * (7 + 0) / 2,
            "preference/chosen_logprob/mean": (7 + 0) / 2,
            "preference/rejected_reward/mean": 0.5 * (3.5 + 7) / 2,
            "preference/rejected_logprob/mean": (3.5 + 7) / 2,
            "preference/margin/mean": 0.5 * (3.5 - 7) / 2,
            "preference/accuracy/mean": 0.5,
            "preference/knowledge_margin/mean": 0.5 * (0.5 - 1) / 2,
            "preference/knowledge_accuracy/mean": 0.5,
            "preference/reasoning_margin/mean": 0.5 * (3 - 6) / 2,
            "preference/reasoning_accuracy/mean": 0.5,
        }
    )


def test_knowledge_beyond_the_tokens_that_count_does_not():
    cut = torch.arange(max(LENGTHS))[None] < 2
    whole = preference_inputs(span=LossSpan.knowledge)
    given, told = (replace(whole, response_mask=cut.expand(len(LENGTHS), -1)) for _ in range(2))
    told = replace(told, knowledge_mask=told.knowledge_mask & cut)
    config = PreferenceConfig(length_normalized=True, sft_weight=0.3)
    (loss, metrics), (expected, told_metrics) = (preference_loss(part, config, pair_scale()) for part in (given, told))
    assert (loss.item(), metrics) == (expected.item(), told_metrics)


def test_a_policy_that_is_still_its_reference_prefers_nothing():
    given = preference_inputs()
    loss, found = preference_loss(replace(given, logprobs=given.reference_logprobs), PreferenceConfig(), pair_scale())
    assert loss.item() == pytest.approx(math.log(2))
    for name in ("", "knowledge_", "reasoning_"):
        assert (found[f"preference/{name}margin/mean"], found[f"preference/{name}accuracy/mean"]) == (0, 0)


def test_where_answers_name_no_knowledge_only_the_whole_is_reported():
    _, found = preference_loss(replace(preference_inputs(), knowledge_mask=None), PreferenceConfig(), pair_scale())
    assert not any("knowledge" in name or "reasoning" in name for name in found)
