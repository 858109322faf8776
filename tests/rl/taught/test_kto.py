import math
from dataclasses import replace

import pytest
import torch

from builders.preference_inputs import CHOSEN, LENGTHS, REJECTED, one_pair, preference_inputs
from builders.token_groups import bare_prompt, token_group
from rl.preference_config import KtoConfig
from rl.taught.preference import KtoScale, PreferenceInputs, kl_share, kto_loss, with_mismatched

KL = 0.7


def kto_scale(dp_size: int = 1) -> KtoScale:
    return KtoScale(dp_size=dp_size, num_chosen=len(CHOSEN), num_rejected=len(REJECTED))


def kto_in_plain_python(given: PreferenceInputs, config: KtoConfig, kl: float) -> float:
    """Mean of w_D (1 - σ(β (r - z))) over chosen and w_U (1 - σ(β (z - r))) over rejected answers."""
    gains = (given.logprobs - given.reference_logprobs).tolist()
    ratios = [math.fsum(row[:length]) for row, length in zip(gains, LENGTHS, strict=True)]
    z = max(kl, 0.0)
    losses = [
        weight * (1 - 1 / (1 + math.exp(-config.beta * sign * (ratios[row] - z))))
        for rows, weight, sign in ((CHOSEN, config.desirable_weight, 1), (REJECTED, config.undesirable_weight, -1))
        for row in rows
    ]
    return sum(losses) / len(losses)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kl", [-0.4, 0.0, KL])
def test_kto_is_that_of_its_paper(seed, kl):
    config = KtoConfig(beta=0.3, desirable_weight=1.2, undesirable_weight=0.8)
    found, _ = kto_loss(preference_inputs(seed), config, kto_scale(), kl)
    assert found.item() == pytest.approx(kto_in_plain_python(preference_inputs(seed), config, kl))


def test_kto_of_one_answer_of_each_side_by_hand():
    loss, found = kto_loss(
        one_pair(3.0, 1.0), KtoConfig(beta=0.5), KtoScale(dp_size=1, num_chosen=1, num_rejected=1), 1.0
    )
    # The chosen answer is σ(-0.5 · (3 - 1)), the rejected one lies at the KL itself: on neither side of it.
    assert loss.item() == pytest.approx((1 / (1 + math.e) + 0.5) / 2)
    assert found == pytest.approx(
        {
            "preference/chosen_reward/mean": 1.5,
            "preference/chosen_logprob/mean": 1.0,
            "preference/rejected_reward/mean": 0.5,
            "preference/rejected_logprob/mean": -1.0,
            "preference/margin/mean": 1.0,
            "preference/accuracy/mean": 0.5,
        }
    )


def test_micro_batches_of_two_ranks_add_up_to_ktos_step_whatever_answers_they_hold():
    config = KtoConfig(desirable_weight=1.3)
    whole, parts = preference_inputs(), preference_inputs()
    loss, metrics = kto_loss(whole, config, kto_scale(), KL)
    loss.backward()
    total, sums = 0.0, dict.fromkeys(metrics, 0.0)
    for chosen, rejected in (((0, 4), (0, 0)), ((0, 0), (0, 3)), ((0, 0), (3, 4)), ((0, 0), (0, 0))):
        part = replace(parts, chosen=parts.chosen[slice(*chosen)], rejected=parts.rejected[slice(*rejected)])
        share, found = kto_loss(part, config, kto_scale(dp_size=2), KL)
        (share / 2).backward()
        total += share.item() / 2
        sums = {name: sums[name] + found[name] for name in metrics}
    assert total == pytest.approx(loss.item())
    assert torch.allclose(parts.logprobs.grad, whole.logprobs.grad, rtol=1e-12)
    assert sums == pytest.approx(metrics)


def test_kto_learns_from_a_step_with_one_side_only():
    given = replace(preference_inputs(), rejected=torch.tensor([], dtype=torch.long))
    loss, found = kto_loss(given, KtoConfig(), KtoScale(dp_size=1, num_chosen=4, num_rejected=0), KL)
    loss.backward()
    assert given.logprobs.grad.abs().sum() > 0
    assert sorted(found) == [f"preference/{name}/mean" for name in ("accuracy", "chosen_logprob", "chosen_reward")]


def test_the_shares_of_the_kl_add_up_to_the_mean_log_ratio_of_all_answers():
    given = preference_inputs()
    ratios = [
        math.fsum(row[:length])
        for row, length in zip((given.logprobs - given.reference_logprobs).tolist(), LENGTHS, strict=True)
    ]
    tensors = (given.logprobs, given.reference_logprobs, given.response_mask)
    shares = [kl_share(*(tensor[rows] for tensor in tensors), len(LENGTHS)) for rows in (slice(0, 1), slice(1, 6))]
    assert sum(shares) == pytest.approx(sum(ratios) / len(ratios))


def test_each_prompt_gets_the_answers_to_the_one_before_it_too():
    groups = [
        replace(
            token_group(bare_prompt([number], sample_id=str(number)), [[10 * number], [10 * number + 1]]),
            advantages=(1.0, -1.0),
        )
        for number in (1, 2, 3)
    ]
    found = with_mismatched(groups)
    assert [group.prompt.token_ids for group in found] == [(1,), (2,), (3,)]
    assert [[answer.token_ids for answer in group.completions] for group in found] == [
        [(10,), (11,), (30,), (31,)],
        [(20,), (21,), (10,), (11,)],
        [(30,), (31,), (20,), (21,)],
    ]
    assert [group.advantages for group in found] == [(1.0, -1.0, 0.0, 0.0)] * 3


def test_an_answer_to_the_same_sample_is_no_answer_to_another_prompt():
    groups = [
        replace(token_group(bare_prompt([1], sample_id=name), [[number]]), advantages=(1.0,))
        for number, name in enumerate("aab")
    ]
    found = with_mismatched(groups)
    assert [group.completions[1].token_ids for group in found] == [(2,), (2,), (1,)]
    with pytest.raises(ValueError, match="a step holds sample a alone"):
        with_mismatched(groups[:2])
