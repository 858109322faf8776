"""The losses of preference training, DPO with its knowledge-routed form and KTO: tensors in, (loss, metrics) out.

Every number is a share: micro-batches and ranks add theirs up to the mean over the whole optimizer step.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch.nn.functional import logsigmoid

from rl.faults import UserError
from rl.preference_config import KtoConfig, LossSpan, PairLoss, PreferenceConfig
from rl.types import Group


@dataclass(frozen=True, kw_only=True)
class PreferenceInputs:
    """What one micro-batch offers the loss; every tensor is [completions, tokens] unless it says so."""

    logprobs: torch.Tensor
    """The policy's now, with gradient."""
    reference_logprobs: torch.Tensor
    """The frozen reference's."""
    response_mask: torch.Tensor
    """bool, True on the answer's tokens that count."""
    knowledge_mask: torch.Tensor | None
    """bool, True on those that choose and state a piece of knowledge; None where no answer of the step names any."""
    span: LossSpan = LossSpan.response
    """Which of them the loss reads."""
    chosen: torch.Tensor
    """[chosen] rows of the better answers; a row may stand in several pairs."""
    rejected: torch.Tensor
    """[rejected] rows of the worse answers; in pairs, the partner of each chosen one."""


@dataclass(frozen=True, kw_only=True)
class PairScale:
    """What a loss of pairs is divided by: counts over all ranks and micro-batches of one optimizer step."""

    dp_size: int
    """Ranks whose gradients FSDP averages."""
    num_pairs: int
    num_chosen_tokens: int
    """Tokens of the chosen sides that the loss reads, counted anew in each pair."""


@dataclass(frozen=True, kw_only=True)
class KtoScale:
    """What KTO's loss is divided by: counts over all ranks and micro-batches of one optimizer step."""

    dp_size: int
    """Ranks whose gradients FSDP averages."""
    num_chosen: int
    num_rejected: int


def preference_loss(
    inputs: PreferenceInputs, config: PreferenceConfig, scale: PairScale
) -> tuple[torch.Tensor, dict[str, float]]:
    """Mean over pairs of the loss of Δ = log π/π_ref(y_w) - log π/π_ref(y_l), + sft_weight · cross-entropy of y_w.

    With y = (k, c), the whole response as span and the sigmoid this is eq. 5 of KR-DPO.
    """
    span, gains = span_mask(inputs.response_mask, inputs.knowledge_mask, inputs.span), _gains(inputs)
    apart = _margin(inputs, _row_values(gains, span, averaged=config.length_normalized))
    smoothing = config.label_smoothing
    losses = (1 - smoothing) * _pair_losses(apart, config) + smoothing * _pair_losses(-apart, config)
    chosen_nll = -inputs.logprobs.where(span, 0.0).sum(1)[inputs.chosen].sum() / scale.num_chosen_tokens
    loss = losses.sum() / scale.num_pairs + config.sft_weight * chosen_nll
    shares = {
        "sft_loss": chosen_nll,
        **_side_shares(inputs, gains, config.beta, (scale.num_pairs, scale.num_pairs)),
        **_pair_shares(inputs, config.beta * gains, scale),
    }
    return loss * scale.dp_size, _as_metrics(shares)


def kto_loss(
    inputs: PreferenceInputs, config: KtoConfig, scale: KtoScale, kl: float
) -> tuple[torch.Tensor, dict[str, float]]:
    """Mean over answers of w · σ(∓β (log π/π_ref(y) - z)), - for chosen and + for rejected ones, z = max(kl, 0).

    `kl` is the sum of `kl_share` over all ranks and micro-batches.
    """
    gains = _gains(inputs)
    rewards, reference_point = config.beta * gains.sum(1), config.beta * max(kl, 0.0)
    chosen, rejected = (rewards[rows] - reference_point for rows in (inputs.chosen, inputs.rejected))
    total = config.desirable_weight * torch.sigmoid(-chosen).sum()
    total = total + config.undesirable_weight * torch.sigmoid(rejected).sum()
    num_answers = scale.num_chosen + scale.num_rejected
    shares = _side_shares(inputs, gains, config.beta, (scale.num_chosen, scale.num_rejected))
    if scale.num_chosen and scale.num_rejected:
        shares["margin"] = shares["chosen_reward"] - shares["rejected_reward"]
    shares["accuracy"] = ((chosen > 0).sum() + (rejected < 0).sum()) / num_answers
    return total / num_answers * scale.dp_size, _as_metrics(shares)


def kl_share(
    logprobs: torch.Tensor, reference_logprobs: torch.Tensor, mask: torch.Tensor, num_completions: int
) -> float:
    """This part's share of KL(policy || reference), of mismatched answers.

    `num_completions` counts them over all ranks and micro-batches; the tensors are [completions, tokens].
    """
    return float((logprobs.detach() - reference_logprobs).where(mask, 0.0).sum() / num_completions)


def with_mismatched(groups: Sequence[Group]) -> list[Group]:
    """Each group with the answers to the sample before its own too, of advantage 0; before the first stands the last.

    They are what KTO's KL is taken over. They stay those of the step, so that the KL weighs the texts that the rewards
    are read from.
    """
    donors = [_before(groups, index) for index in range(len(groups))]
    return [
        replace(
            group,
            completions=(*group.completions, *donor.completions),
            advantages=(*group.advantages, *(0.0,) * len(donor.completions)),
        )
        for group, donor in zip(groups, donors, strict=True)
    ]


def _before(groups: Sequence[Group], index: int) -> Group:
    """The nearest group before this one, round the end, that is of another sample."""
    own = groups[index].prompt.sample.id
    others = (groups[(index - back) % len(groups)] for back in range(1, len(groups)))
    donor = next((group for group in others if group.prompt.sample.id != own), None)
    if donor is None:
        raise UserError(f"objective=kto: a step holds sample {own} alone; give data.lessons of more samples")
    return donor


def span_mask(response_mask: torch.Tensor, knowledge_mask: torch.Tensor | None, span: LossSpan) -> torch.Tensor:
    """[completions, tokens] bool, True on the tokens that a loss over this span reads."""
    if span is LossSpan.response:
        return response_mask
    assert knowledge_mask is not None, f"a loss over the span {span.value} needs to know where answers state knowledge"
    return response_mask & (knowledge_mask if span is LossSpan.knowledge else ~knowledge_mask)


def _pair_losses(apart: torch.Tensor, config: PreferenceConfig) -> torch.Tensor:
    """[pairs] losses of [pairs] margins in nats."""
    if config.loss is PairLoss.sigmoid:
        return -logsigmoid(config.beta * apart)
    if config.loss is PairLoss.hinge:
        return torch.relu(1 - config.beta * apart)
    assert config.loss is PairLoss.ipo
    return (apart - 1 / (2 * config.beta)) ** 2


def _gains(inputs: PreferenceInputs) -> torch.Tensor:
    """[completions, tokens] log π/π_ref, 0 off the response.

    Taken token by token: the difference of two sums over a long answer would lose digits.
    """
    return (inputs.logprobs - inputs.reference_logprobs).where(inputs.response_mask, 0.0)


def _row_values(values: torch.Tensor, mask: torch.Tensor, *, averaged: bool = False) -> torch.Tensor:
    """[completions] sums, or means, over the tokens of the mask."""
    sums = values.where(mask, 0.0).sum(1)
    return sums / mask.sum(1).clamp(min=1) if averaged else sums


def _margin(inputs: PreferenceInputs, values: torch.Tensor) -> torch.Tensor:
    """[pairs] chosen minus rejected of [completions] values."""
    return values[inputs.chosen] - values[inputs.rejected]


def _side_shares(
    inputs: PreferenceInputs, gains: torch.Tensor, beta: float, counts: tuple[int, int]
) -> dict[str, torch.Tensor]:
    """Rewards and log-probs of whole answers on either side, the latter without those that no rank has."""
    rewards = beta * gains.sum(1)
    logprobs = _row_values(inputs.logprobs, inputs.response_mask)
    shares = {}
    for side, rows, count in zip(("chosen", "rejected"), (inputs.chosen, inputs.rejected), counts, strict=True):
        if count:
            shares[f"{side}_reward"] = rewards[rows].sum() / count
            shares[f"{side}_logprob"] = logprobs[rows].sum() / count
    return shares


def _pair_shares(inputs: PreferenceInputs, rewards: torch.Tensor, scale: PairScale) -> dict[str, torch.Tensor]:
    """Margin and accuracy of the whole answer, and of its knowledge and its reasoning where they are told apart."""
    spans = {"": inputs.response_mask}
    if inputs.knowledge_mask is not None:
        spans |= {"knowledge_": inputs.knowledge_mask, "reasoning_": ~inputs.knowledge_mask}
    shares = {}
    for name, mask in spans.items():
        margins = _margin(inputs, _row_values(rewards, mask))
        shares[f"{name}margin"] = margins.sum() / scale.num_pairs
        shares[f"{name}accuracy"] = (margins > 0).sum() / scale.num_pairs
    return shares


def _as_metrics(shares: dict[str, torch.Tensor]) -> dict[str, float]:
    """Under their full names; one transfer from the device for all."""
    values = torch.stack([share.detach().double() for share in shares.values()]).tolist()
    return {f"preference/{name}/mean": value for name, value in zip(shares, values, strict=True)}
