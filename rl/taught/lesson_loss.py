"""The loss of a micro-batch of taught answers: what its objective reads of them, and by what it is divided."""

from collections.abc import Sequence
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
    """Of an optimizer step, over all its micro-batches and, once added up, over all ranks."""

    num_chosen: int
    """Better answers."""
    num_rejected: int
    """Worse answers."""
    num_mismatched: int
    """Answers to other prompts."""
    num_chosen_tokens: int
    """Tokens of the better answers that the loss reads."""
    num_tokens: int
    """Tokens of the better and the worse answers."""
    num_stated: int
    """Tokens that state a piece of knowledge."""


def counts_of(groups: Sequence[Group], algo: AlgoConfig) -> LessonCounts:
    """What the groups of one rank count."""
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
    """The group with its answers to other prompts alone, or with its own alone."""
    kept = [index for index, value in enumerate(group.advantages) if (value == 0) is mismatched]
    return replace(
        group,
        completions=tuple(group.completions[index] for index in kept),
        advantages=tuple(group.advantages[index] for index in kept),
        reference_logprobs=tuple(group.reference_logprobs[index] for index in kept) if group.reference_logprobs else (),
    )


def lesson_loss(
    batch: GroupBatch, logprobs: torch.Tensor, algo: AlgoConfig, counts: LessonCounts, *, dp_size: int, kl: float
) -> tuple[torch.Tensor, dict[str, float]]:
    """(the loss that algo.objective names, this part's shares of its metrics); `kl` is KTO's, of the whole step."""
    if algo.objective is Objective.sft:
        scale = Scale(
            dp_size=dp_size,
            batch_num_tokens=max(counts.num_chosen_tokens, 1),
            global_batch_size=max(counts.num_chosen, 1),
            loss_scale_factor=1,
        )
        return sft_loss(logprobs, span_mask(batch.response_mask, batch.knowledge_mask, algo.span), scale), {}
    inputs = _inputs(batch, logprobs, algo, counts)
    if algo.objective is Objective.kto:
        sides = KtoScale(dp_size=dp_size, num_chosen=counts.num_chosen, num_rejected=counts.num_rejected)
        return kto_loss(inputs, algo.kto, sides, kl)
    pairs = PairScale(dp_size=dp_size, num_pairs=counts.num_chosen, num_chosen_tokens=max(counts.num_chosen_tokens, 1))
    return preference_loss(inputs, algo.preference, pairs)


def mismatch_share(batch: GroupBatch, logprobs: torch.Tensor, counts: LessonCounts) -> float:
    """This part's share of the KL that KTO's rewards are measured from."""
    return kl_share(logprobs, _reference(batch, logprobs), batch.response_mask, max(counts.num_mismatched, 1))


def _reference(batch: GroupBatch, logprobs: torch.Tensor) -> torch.Tensor:
    """The reference's log-probs; an empty micro-batch, which counts for nothing, has none."""
    if batch.reference_logprobs is None:
        assert not batch.response_mask.any(), "there is no reference to compare with"
        return logprobs.detach()
    return batch.reference_logprobs


def _inputs(batch: GroupBatch, logprobs: torch.Tensor, algo: AlgoConfig, counts: LessonCounts) -> PreferenceInputs:
    signs = batch.advantages[:, 0]
    return PreferenceInputs(
        logprobs=logprobs,
        reference_logprobs=_reference(batch, logprobs),
        response_mask=batch.response_mask,
        knowledge_mask=batch.knowledge_mask if counts.num_stated else None,
        chosen=(signs > 0).nonzero()[:, 0],
        rejected=(signs < 0).nonzero()[:, 0],
        span=algo.span,
    )
