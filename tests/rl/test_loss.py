import math
from dataclasses import replace

import pytest
import torch

from rl.algorithm import Aggregation, AlgoConfig, KlEstimator, PolicyLoss
from rl.loss import LossInputs, policy_loss, sft_loss
from rl.verl_core import Scale

LENGTHS = (5, 1, 3, 4)
DR_GRPO_LENGTH = 16


def inputs(seed: int = 0, lengths: tuple[int, ...] = LENGTHS) -> LossInputs:
    """Return random float64 log-probs with ratios on both sides of the clips."""
    rng = torch.Generator().manual_seed(seed)
    shape = (len(lengths), max(lengths))

    def noise(scale: float) -> torch.Tensor:
        return scale * torch.randn(shape, generator=rng, dtype=torch.float64)

    old = noise(1) - 3
    return LossInputs(
        logprobs=(old + noise(0.4)).requires_grad_(),
        old_logprobs=old,
        reference_logprobs=old + noise(0.3),
        advantages=torch.randn(len(lengths), 1, generator=rng, dtype=torch.float64),
        mask=torch.arange(max(lengths))[None] < torch.tensor(lengths)[:, None],
    )


def scale(lengths: tuple[int, ...] = LENGTHS, dp_size: int = 1) -> Scale:
    return Scale(
        dp_size=dp_size,
        batch_num_tokens=sum(lengths),
        global_batch_size=len(lengths),
        loss_scale_factor=DR_GRPO_LENGTH,
    )


def loss_in_plain_python(given: LossInputs, config: AlgoConfig) -> float:
    """Compute the loss by the papers' formulas, token by token."""
    sequences = []
    for i in range(len(given.advantages)):
        losses, advantage = [], float(given.advantages[i])
        for t in torch.nonzero(given.mask[i]).flatten().tolist():
            new, old, reference = (
                x[i, t].item() for x in (given.logprobs, given.old_logprobs, given.reference_logprobs)
            )
            ratio = math.exp(new - old)
            if config.policy_loss is PolicyLoss.gspo:
                ratio = geometric_mean_ratio(given, i)
            clipped = min(max(ratio, 1 - config.clip_low), 1 + config.clip_high)
            gain = min(ratio * advantage, clipped * advantage)
            if config.policy_loss is PolicyLoss.cispo:
                gain = clipped * advantage * new
            kl = {
                KlEstimator.k1: new - reference,
                KlEstimator.k2: (new - reference) ** 2 / 2,
                KlEstimator.k3: math.exp(reference - new) - (reference - new) - 1,
            }[config.kl_estimator]
            losses.append(-gain + config.kl_weight * kl)
        sequences.append(losses)
    return {
        Aggregation.token_mean: sum(map(sum, sequences)) / sum(map(len, sequences)),
        Aggregation.sequence_mean: sum(sum(losses) / len(losses) for losses in sequences) / len(sequences),
        Aggregation.dr_grpo: sum(sum(losses) / DR_GRPO_LENGTH for losses in sequences) / len(sequences),
    }[config.aggregation]


def geometric_mean_ratio(given: LossInputs, i: int) -> float:
    """Return (new probability of completion i / old probability)^(1 / its length)."""
    mask = given.mask[i]
    new, old = (values[i][mask].tolist() for values in (given.logprobs, given.old_logprobs))
    return (math.exp(sum(new)) / math.exp(sum(old))) ** (1 / len(new))


@pytest.mark.parametrize("policy", PolicyLoss)
@pytest.mark.parametrize("aggregation", Aggregation)
@pytest.mark.parametrize("estimator", KlEstimator)
@pytest.mark.parametrize("seed", range(3))
def test_the_loss_is_that_of_the_papers(policy, aggregation, estimator, seed):
    config = AlgoConfig(
        policy_loss=policy,
        clip_low=0.1,
        clip_high=0.25,
        kl_weight=0.3,
        kl_estimator=estimator,
        aggregation=aggregation,
    )
    loss, _ = policy_loss(inputs(seed), config, scale())
    assert loss.item() == pytest.approx(loss_in_plain_python(inputs(seed), config), rel=1e-6)


@pytest.mark.parametrize("policy", PolicyLoss)
@pytest.mark.parametrize("aggregation", Aggregation)
def test_micro_batches_of_two_ranks_add_up_to_the_whole_batch(policy, aggregation):
    config = AlgoConfig(policy_loss=policy, kl_weight=0.3, aggregation=aggregation)
    whole, parts = inputs(), inputs()
    loss, _ = policy_loss(whole, config, scale())
    loss.backward()
    total = 0.0
    for rows in (slice(0, 1), slice(1, 4)):
        names = ("logprobs", "old_logprobs", "reference_logprobs", "advantages", "mask")
        share, _ = policy_loss(
            LossInputs(**{name: getattr(parts, name)[rows] for name in names}), config, scale(dp_size=2)
        )
        # FSDP averages over its two ranks.
        (share / 2).backward()
        total += share.item() / 2
    assert total == pytest.approx(loss.item())
    assert torch.allclose(parts.logprobs.grad, whole.logprobs.grad)


@pytest.mark.parametrize("policy", PolicyLoss)
def test_tokens_outside_the_mask_affect_neither_loss_nor_gradient(policy):
    config = AlgoConfig(policy_loss=policy, kl_weight=0.3)
    clean, dirty = inputs(), inputs()
    spoiled = {
        name: getattr(dirty, name).detach().masked_fill(~dirty.mask, float("nan"))
        for name in ("logprobs", "old_logprobs", "reference_logprobs")
    }
    dirty = replace(dirty, **{**spoiled, "logprobs": spoiled["logprobs"].requires_grad_()})
    expected, metrics = policy_loss(clean, config, scale())
    found, found_metrics = policy_loss(dirty, config, scale())
    expected.backward()
    found.backward()
    assert (found.item(), found_metrics) == (expected.item(), metrics)
    assert torch.equal(dirty.logprobs.grad, clean.logprobs.grad)


def one_token(ratio: float, advantage: float) -> LossInputs:
    def cell(value: float) -> torch.Tensor:
        return torch.tensor([[value]], dtype=torch.float64)

    return LossInputs(
        logprobs=cell(math.log(ratio)).requires_grad_(),
        old_logprobs=cell(0.0),
        reference_logprobs=None,
        advantages=cell(advantage),
        mask=torch.ones(1, 1, dtype=torch.bool),
    )


@pytest.mark.parametrize(
    ("ratio", "advantage", "loss", "clipped"),
    [
        (1.1, 2.0, -2.2, 0),
        (1.5, 2.0, -2.6, 1),
        (0.5, -2.0, 1.8, 1),
        # Clipping does not apply where it would favour the change.
        (0.5, 2.0, -1.0, 0),
        # There is no second bound on negative advantages, unlike in dual-clip PPO.
        (50.0, -2.0, 100.0, 0),
    ],
)
def test_low_and_high_clips_are_two_numbers(ratio, advantage, loss, clipped):
    config = AlgoConfig(clip_low=0.1, clip_high=0.3)
    found, metrics = policy_loss(one_token(ratio, advantage), config, scale((1,)))
    assert found.item() == pytest.approx(loss)
    assert metrics == {"clip_ratio": pytest.approx(clipped), "kl": 0.0}


@pytest.mark.parametrize("policy", PolicyLoss)
def test_on_the_policys_own_samples_the_gradient_is_that_of_reinforce(policy):
    given = one_token(1.0, 3.0)
    loss, _ = policy_loss(given, AlgoConfig(policy_loss=policy), scale((1,)))
    loss.backward()
    assert float(given.logprobs.grad) == pytest.approx(-3.0)


@pytest.mark.parametrize("policy", PolicyLoss)
def test_a_token_may_have_an_advantage_of_its_own(policy):
    given, config = inputs(), AlgoConfig(policy_loss=policy, kl_weight=0.0)
    given = replace(given, old_logprobs=given.logprobs.detach())
    weights = torch.rand(given.mask.shape, dtype=torch.float64)
    loss, _ = policy_loss(replace(given, advantages=given.advantages * weights), config, scale())
    loss.backward()
    per_sequence = given.mask / given.mask.sum(1, keepdim=True) / len(LENGTHS)
    expected = -(given.advantages * weights) * per_sequence
    torch.testing.assert_close(given.logprobs.grad, expected)


def test_gspo_clips_a_completion_as_a_whole():
    # Ratios 2 and 0.5 of two tokens cancel: the first alone would be clipped.
    old = torch.zeros(1, 2, dtype=torch.float64)
    new = torch.tensor([[math.log(2), -math.log(2)]], dtype=torch.float64).requires_grad_()
    given = LossInputs(
        logprobs=new,
        old_logprobs=old,
        reference_logprobs=None,
        advantages=torch.tensor([[3.0]], dtype=torch.float64),
        mask=torch.ones(1, 2, dtype=torch.bool),
    )
    loss, metrics = policy_loss(given, AlgoConfig(policy_loss=PolicyLoss.gspo), scale((2,)))
    loss.backward()
    assert (loss.item(), metrics["clip_ratio"]) == (pytest.approx(-3.0), 0)
    assert new.grad.tolist() == [pytest.approx([-1.5, -1.5])]


@pytest.mark.parametrize("seed", range(3))
def test_the_gradient_of_gspo_is_that_of_its_sequence_level_objective(seed):
    config = AlgoConfig(policy_loss=PolicyLoss.gspo, clip_low=0.1, clip_high=0.1)
    given, apart = inputs(seed), inputs(seed)
    policy_loss(given, config, scale())[0].backward()
    gaps = (apart.logprobs - apart.old_logprobs).where(apart.mask, 0.0)
    ratio = (gaps.sum(1, keepdim=True) / apart.mask.sum(1, keepdim=True)).exp()
    gains = torch.minimum(ratio * apart.advantages, ratio.clamp(0.9, 1.1) * apart.advantages)
    (-gains.mean()).backward()
    assert torch.allclose(given.logprobs.grad, apart.logprobs.grad, atol=1e-8)


@pytest.mark.parametrize(("ratio", "weight"), [(1.1, 1.1), (50.0, 1.3), (0.01, 0.9)])
@pytest.mark.parametrize("advantage", [2.0, -2.0])
def test_cispo_leaves_every_token_a_gradient_of_clipped_weight(ratio, weight, advantage):
    given = one_token(ratio, advantage)
    config = AlgoConfig(policy_loss=PolicyLoss.cispo, clip_low=0.1, clip_high=0.3)
    loss, metrics = policy_loss(given, config, scale((1,)))
    loss.backward()
    assert float(given.logprobs.grad) == pytest.approx(-weight * advantage)
    assert metrics["clip_ratio"] == pytest.approx(float(weight != ratio))


def test_a_completion_that_does_not_count_leaves_the_others_ratios_alone():
    given = inputs()
    unjudged = replace(given, mask=given.mask & torch.tensor([[True], [True], [False], [True]]))
    judged = [0, 1, 3]
    names = ("logprobs", "old_logprobs", "reference_logprobs", "advantages", "mask")
    without = LossInputs(**{name: getattr(given, name)[judged] for name in names})
    lengths = tuple(LENGTHS[index] for index in judged)
    for policy in PolicyLoss:
        config = AlgoConfig(policy_loss=policy)
        found = [policy_loss(part, config, scale(lengths))[0].item() for part in (unjudged, without)]
        assert found[0] == pytest.approx(found[1])


def test_supervised_loss_is_the_mean_over_the_tokens_of_all_micro_batches():
    logprobs = torch.tensor([[-1.0, -2.0], [-4.0, float("nan")]])
    mask = torch.tensor([[True, True], [True, False]])
    assert float(sft_loss(logprobs, mask, scale((2, 1)))) == pytest.approx(7 / 3)
    assert float(sft_loss(logprobs[:1], mask[:1], scale((2, 1), dp_size=2))) == pytest.approx(2 * 3 / 3)
