"""The losses of preference training, DPO with its knowledge-routed form and KTO: tensors in, (loss, metrics) out.

Each returned number is a share: the sum over micro-batches and ranks is the mean over the optimizer step.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch.nn.functional import logsigmoid

from rl.faults import UserError
from rl.preference_config import KtoConfig, LossSpan, PairLoss, PreferenceConfig
from rl.types import Group


@dataclass(frozen=True, kw_only=True)
class PreferenceInputs:
    """A micro-batch for the losses below; every tensor is [completions, tokens] unless it says so."""

    logprobs: torch.Tensor
    """Log-probs of the policy now, with gradient."""
    reference_logprobs: torch.Tensor
    """Log-probs of the frozen reference."""
    response_mask: torch.Tensor
    """bool, True on the tokens of answers that count."""
    knowledge_mask: torch.Tensor | None
    """bool, True on tokens that state a piece of knowledge; None if no answer of the step states any."""
    span: LossSpan = LossSpan.response
    """Tokens that the loss reads."""
    chosen: torch.Tensor
    """[chosen] rows of the better answers; a row may be in several pairs."""
    rejected: torch.Tensor
    """[rejected] rows of the worse answers; for a loss of pairs, one for each chosen row."""


@dataclass(frozen=True, kw_only=True)
class PairScale:
    """Divisors of a loss of pairs: counts over all ranks and micro-batches of one optimizer step."""

    dp_size: int
    """Ranks whose gradients FSDP averages."""
    num_pairs: int
    num_chosen_tokens: int
    """Tokens of the chosen answers that the loss reads, counted once for each pair."""


@dataclass(frozen=True, kw_only=True)
class KtoScale:
    """Divisors of KTO's loss: counts over all ranks and micro-batches of one optimizer step."""

    dp_size: int
    """Ranks whose gradients FSDP averages."""
    num_chosen: int
    num_rejected: int


def sigmoid_loss(margins: torch.Tensor, config: PreferenceConfig) -> torch.Tensor:
    """Return -log σ(β Δ), which never reaches 0, so that the margin keeps growing. DPO (Rafailov et al., 2023)."""
    return -logsigmoid(config.beta * margins)


def hinge_loss(margins: torch.Tensor, config: PreferenceConfig) -> torch.Tensor:
    """Return max(0, 1 - β Δ), which is 0 from β Δ = 1 on. SLiC (Zhao et al., 2023), in the form of RSO (2024)."""
    return torch.relu(1 - config.beta * margins)


def ipo_loss(margins: torch.Tensor, config: PreferenceConfig) -> torch.Tensor:
    """Return (Δ - 1 / (2 β))², which pulls a larger margin back. IPO (Azar et al., 2024)."""
    return (margins - 1 / (2 * config.beta)) ** 2


PAIR_LOSSES: Mapping[PairLoss, Callable[[torch.Tensor, PreferenceConfig], torch.Tensor]] = {
    PairLoss.sigmoid: sigmoid_loss,
    PairLoss.hinge: hinge_loss,
    PairLoss.ipo: ipo_loss,
}
"""Loss by name: [pairs] margins Δ in nats to [pairs] losses."""


def preference_loss(
    inputs: PreferenceInputs, config: PreferenceConfig, scale: PairScale
) -> tuple[torch.Tensor, dict[str, float]]:
    """Return the mean over pairs of config.loss of Δ, plus sft_weight times the cross-entropy of the chosen answers.

    Δ = log π/π_ref(y_w) - log π/π_ref(y_l), over the tokens of inputs.span. With y = (k, c), the whole response as
    span and the sigmoid, this is eq. 5 of KR-DPO (DCR²-AD). Label smoothing is that of conservative DPO: the loss is
    (1 - ε) loss(Δ) + ε loss(-Δ).
    """
    span, gains = span_mask(inputs.response_mask, inputs.knowledge_mask, inputs.span), _gains(inputs)
    margins = _margins(inputs, _row_values(gains, span, averaged=config.length_normalized))
    smoothing, pair_loss = config.label_smoothing, PAIR_LOSSES[config.loss]
    losses = (1 - smoothing) * pair_loss(margins, config) + smoothing * pair_loss(-margins, config)
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
    """Return the mean over answers of w · σ(∓β (log π/π_ref(y) - z)), - for chosen and + for rejected ones.

    z = max(kl, 0), where `kl` is the sum of `kl_share` over all ranks and micro-batches. KTO (Ethayarajh et al., 2024).
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
    """Return the share that [completions, tokens] log-probs of mismatched answers have in KL(policy || reference).

    `num_completions` is the number of mismatched answers over all ranks and micro-batches.
    """
    return float((logprobs.detach() - reference_logprobs).where(mask, 0.0).sum() / num_completions)


def with_mismatched(groups: Sequence[Group]) -> list[Group]:
    """Add to each group, with advantage 0, the answers to the sample before it; the last sample is before the first.

    KTO estimates its KL from these mismatched answers. They come from the same step, so that the KL is that of the
    texts whose rewards it is subtracted from.
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
    """Return the nearest group before this one, cyclically, that has another sample."""
    own = groups[index].prompt.sample.id
    others = (groups[(index - back) % len(groups)] for back in range(1, len(groups)))
    donor = next((group for group in others if group.prompt.sample.id != own), None)
    if donor is None:
        raise UserError(
            f"answers are compared with those to other prompts, but a step holds sample {own} alone; give data.lessons "
            "of more samples"
        )
    return donor


def span_mask(response_mask: torch.Tensor, knowledge_mask: torch.Tensor | None, span: LossSpan) -> torch.Tensor:
    """Return the [completions, tokens] mask of the tokens that a loss over this span reads."""
    if span is LossSpan.response:
        return response_mask
    assert knowledge_mask is not None, f"a loss over the span {span.value} needs to know where answers state knowledge"
    return response_mask & (knowledge_mask if span is LossSpan.knowledge else ~knowledge_mask)


def _gains(inputs: PreferenceInputs) -> torch.Tensor:
    """Return [completions, tokens] log π/π_ref, 0 off the response.

    It is taken token by token: the difference of two sums over a long answer would lose digits.
    """
    return (inputs.logprobs - inputs.reference_logprobs).where(inputs.response_mask, 0.0)


def _row_values(values: torch.Tensor, mask: torch.Tensor, *, averaged: bool = False) -> torch.Tensor:
    """Return the [completions] sums, or means, over the tokens of the mask."""
    sums = values.where(mask, 0.0).sum(1)
    return sums / mask.sum(1).clamp(min=1) if averaged else sums


def _margins(inputs: PreferenceInputs, values: torch.Tensor) -> torch.Tensor:
    """Return the [pairs] differences, chosen minus rejected, of [completions] values."""
    return values[inputs.chosen] - values[inputs.rejected]


def _side_shares(
    inputs: PreferenceInputs, gains: torch.Tensor, beta: float, counts: tuple[int, int]
) -> dict[str, torch.Tensor]:
    """Return mean rewards and log-probs of chosen and of rejected answers; a side that no rank has is left out."""
    rewards = beta * gains.sum(1)
    logprobs = _row_values(inputs.logprobs, inputs.response_mask)
    shares = {}
    for side, rows, count in zip(("chosen", "rejected"), (inputs.chosen, inputs.rejected), counts, strict=True):
        if count:
            shares[f"{side}_reward"] = rewards[rows].sum() / count
            shares[f"{side}_logprob"] = logprobs[rows].sum() / count
    return shares


def _pair_shares(inputs: PreferenceInputs, rewards: torch.Tensor, scale: PairScale) -> dict[str, torch.Tensor]:
    """Return margin and accuracy of whole answers and, if any states knowledge, of their knowledge and reasoning."""
    spans = {"": inputs.response_mask}
    if inputs.knowledge_mask is not None:
        spans |= {"knowledge_": inputs.knowledge_mask, "reasoning_": ~inputs.knowledge_mask}
    shares = {}
    for name, mask in spans.items():
        margins = _margins(inputs, _row_values(rewards, mask))
        shares[f"{name}margin"] = margins.sum() / scale.num_pairs
        shares[f"{name}accuracy"] = (margins > 0).sum() / scale.num_pairs
    return shares


def _as_metrics(shares: dict[str, torch.Tensor]) -> dict[str, float]:
    """Return the shares under the names of their metrics; one transfer from the device brings all of them."""
    values = torch.stack([share.detach().double() for share in shares.values()]).tolist()
    return {f"preference/{name}/mean": value for name, value in zip(shares, values, strict=True)}
