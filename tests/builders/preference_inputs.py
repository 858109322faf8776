"""Random answers and their pairs, for the tests of the preference losses."""

import torch

from rl.preference_config import LossSpan
from rl.taught.preference import PairScale, PreferenceInputs

LENGTHS = (6, 4, 7, 2, 5, 3)
KNOWLEDGE = (2, 1, 4, 1, 3, 2)
"""Number of tokens at the beginning of each answer that state the knowledge."""
CHOSEN, REJECTED = (0, 2, 2, 5), (1, 3, 4, 4)
"""Pairs by answer index: answer 0 against 1, 2 against 3 and 4, 5 against 4."""


def preference_inputs(seed: int = 0, span: LossSpan = LossSpan.response) -> PreferenceInputs:
    """Make random float64 log-probs; the gains favour the chosen side in some pairs, the rejected one in others."""
    rng = torch.Generator().manual_seed(seed)
    shape = (len(LENGTHS), max(LENGTHS))
    reference = torch.randn(shape, generator=rng, dtype=torch.float64) - 3
    gain = 2 * torch.randn(shape, generator=rng, dtype=torch.float64)
    place = torch.arange(max(LENGTHS))[None]
    return PreferenceInputs(
        logprobs=(reference + gain).requires_grad_(),
        reference_logprobs=reference,
        response_mask=place < torch.tensor(LENGTHS)[:, None],
        knowledge_mask=place < torch.tensor(KNOWLEDGE)[:, None],
        chosen=torch.tensor(CHOSEN),
        rejected=torch.tensor(REJECTED),
        span=span,
    )


def one_pair(chosen_gain: float, rejected_gain: float) -> PreferenceInputs:
    """Make a pair of one-token answers, whose log-ratios are the gains."""
    gains = torch.tensor([[chosen_gain], [rejected_gain]], dtype=torch.float64)
    return PreferenceInputs(
        logprobs=(gains - 2).requires_grad_(),
        reference_logprobs=torch.full_like(gains, -2),
        response_mask=torch.ones(2, 1, dtype=torch.bool),
        knowledge_mask=None,
        chosen=torch.tensor([0]),
        rejected=torch.tensor([1]),
    )


def pair_scale(span: LossSpan = LossSpan.response, dp_size: int = 1) -> PairScale:
    answers = {
        LossSpan.response: LENGTHS,
        LossSpan.knowledge: KNOWLEDGE,
        LossSpan.reasoning: [whole - stated for whole, stated in zip(LENGTHS, KNOWLEDGE, strict=True)],
    }
    num_tokens = sum(answers[span][row] for row in CHOSEN)
    return PairScale(dp_size=dp_size, num_pairs=len(CHOSEN), num_chosen_tokens=num_tokens)
