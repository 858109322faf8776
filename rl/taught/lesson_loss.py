"""The loss of a micro-batch of lessons, by objective, and the counts that it is divided by."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch

from rl.algorithm import AlgoConfig, Objective
from rl.batching import GroupBatch
from rl.loss import sft_loss
from rl.preference_config import LossSpan
from rl.taught.preference import KtoScale, PairScale, PreferenceInputs, kl_share, kto_loss, preference_loss, span_mask
from rl.types import Group
from rl.verl_core import Scale


@dataclass(frozen=True, kw_only=True)
class LessonCounts:
    """Counts over the micro-batches of an optimizer step and, once summed, over the ranks."""

    num_chosen: int
    """Better answers."""
    num_rejected: int
    """Worse answers."""
    num_mismatched: int
    """Answers to other prompts."""
    num_chosen_tokens: int
    """Tokens of the better answers that algo.span names."""
    num_tokens: int
    """Tokens of the better and the worse answers."""
    num_stated: int
    """Tokens that state a piece of knowledge."""


@dataclass(frozen=True, kw_only=True)
class LessonInputs:
    """A micro-batch of lessons and what its loss is divided by."""

    batch: GroupBatch
    """Its answers have advantage 1 if they are the better ones, -1 if the worse."""
    logprobs: torch.Tensor
    """[completions, tokens] log-probs of the policy now, with gradient."""
    counts: LessonCounts
    dp_size: int
    """Ranks whose gradients FSDP averages."""
    kl: float
    """KL(policy || reference) of the step's answers to other prompts; 0 for a recipe that compares none."""


def _sft(inputs: LessonInputs, algo: AlgoConfig) -> tuple[torch.Tensor, dict[str, float]]:
    batch, counts = inputs.batch, inputs.counts
    scale = Scale(
        dp_size=inputs.dp_size,
        batch_num_tokens=max(counts.num_chosen_tokens, 1),
        global_batch_size=max(counts.num_chosen, 1),
        loss_scale_factor=1,
    )
    return sft_loss(inputs.logprobs, span_mask(batch.response_mask, batch.knowledge_mask, algo.span), scale), {}


def _dpo(inputs: LessonInputs, algo: AlgoConfig) -> tuple[torch.Tensor, dict[str, float]]:
    counts = inputs.counts
    scale = PairScale(
        dp_size=inputs.dp_size, num_pairs=counts.num_chosen, num_chosen_tokens=max(counts.num_chosen_tokens, 1)
    )
    return preference_loss(_preference_inputs(inputs, algo.span), algo.preference, scale)


def _kto(inputs: LessonInputs, algo: AlgoConfig) -> tuple[torch.Tensor, dict[str, float]]:
    counts = inputs.counts
    scale = KtoScale(dp_size=inputs.dp_size, num_chosen=counts.num_chosen, num_rejected=counts.num_rejected)
    return kto_loss(_preference_inputs(inputs, algo.span), algo.kto, scale, inputs.kl)


LESSON_LOSSES: Mapping[Objective, Callable[[LessonInputs, AlgoConfig], tuple[torch.Tensor, dict[str, float]]]] = {
    Objective.sft: _sft,
    Objective.dpo: _dpo,
    Objective.kto: _kto,
}
"""Loss by objective that teaches; the equations are in sft_loss, preference_loss and kto_loss."""


def lesson_loss(inputs: LessonInputs, algo: AlgoConfig) -> tuple[torch.Tensor, dict[str, float]]:
    """Return the loss of algo.objective, and metrics as shares of those of the step."""
    return LESSON_LOSSES[algo.objective](inputs, algo)


def counts_of(groups: Sequence[Group], algo: AlgoConfig) -> LessonCounts:
    """Count the answers and tokens of one rank's groups."""
    answers = [each for group in groups for each in zip(group.completions, group.advantages, strict=True)]
    lengths = [len(answer.token_ids) for answer, _ in answers]
    stated = [end - start for start, end in (answer.knowledge for answer, _ in answers)]
    read = {
        LossSpan.response: lengths,
        LossSpan.knowledge: stated,
        LossSpan.reasoning: [length - part for length, part in zip(lengths, stated, strict=True)],
    }[algo.span]
    signs = [value for _, value in answers]
    return LessonCounts(
        num_chosen=sum(sign > 0 for sign in signs),
        num_rejected=sum(sign < 0 for sign in signs),
        num_mismatched=sum(sign == 0 for sign in signs),
        num_chosen_tokens=sum(count for count, sign in zip(read, signs, strict=True) if sign > 0),
        num_tokens=sum(count for count, sign in zip(lengths, signs, strict=True) if sign != 0),
        num_stated=sum(stated),
    )


def only(group: Group, *, mismatched: bool) -> Group:
    """Return the group with only its answers to another prompt, or with only its own."""
    kept = [index for index, value in enumerate(group.advantages) if (value == 0) is mismatched]
    return replace(
        group,
        completions=tuple(group.completions[index] for index in kept),
        advantages=tuple(group.advantages[index] for index in kept),
        reference_logprobs=tuple(group.reference_logprobs[index] for index in kept) if group.reference_logprobs else (),
    )


def mismatch_share(batch: GroupBatch, logprobs: torch.Tensor, counts: LessonCounts) -> float:
    """Return this micro-batch's share of `LessonInputs.kl`."""
    return kl_share(logprobs, _reference(batch, logprobs), batch.response_mask, max(counts.num_mismatched, 1))


def _reference(batch: GroupBatch, logprobs: torch.Tensor) -> torch.Tensor:
    """Return the reference's log-probs; an empty micro-batch, which counts for nothing, has none."""
    if batch.reference_logprobs is None:
        assert not batch.response_mask.any(), "there is no reference to compare with"
        return logprobs.detach()
    return batch.reference_logprobs


def _preference_inputs(inputs: LessonInputs, span: LossSpan) -> PreferenceInputs:
    batch, signs = inputs.batch, inputs.batch.advantages[:, 0]
    return PreferenceInputs(
        logprobs=inputs.logprobs,
        reference_logprobs=_reference(batch, inputs.logprobs),
        response_mask=batch.response_mask,
        knowledge_mask=batch.knowledge_mask if inputs.counts.num_stated else None,
        chosen=(signs > 0).nonzero()[:, 0],
        rejected=(signs < 0).nonzero()[:, 0],
        span=span,
    )
