"""The preference losses beside those of TRL's own trainers on the same log-probs: values, gradients and metrics."""

from collections import defaultdict
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import rl.import_fixes  # noqa: F401

import pytest
import torch
from accelerate import Accelerator
from trl import DPOTrainer, KTOTrainer

from rl.preference_config import KtoConfig, PairLoss, PreferenceConfig
from rl.taught.preference import KtoScale, PairScale, PreferenceInputs, kl_share, kto_loss, preference_loss

# Importing TRL takes about ten seconds.
pytestmark = pytest.mark.slow

NUM_PAIRS, NUM_TOKENS = 5, 9
SEEDS = range(5)
ANSWERS, MISMATCHED = 0, 1
"""The content of TRL's batches in place of tokens: the places of their log-probs."""


def inputs(seed: int) -> PreferenceInputs:
    """TRL's layout: the chosen halves of all pairs, then the rejected ones; lengths from 1 to all tokens."""
    rng = torch.Generator().manual_seed(seed)
    shape = (2 * NUM_PAIRS, NUM_TOKENS)
    reference = torch.randn(shape, generator=rng, dtype=torch.float64) - 3
    gains = 2 * torch.randn(shape, generator=rng, dtype=torch.float64)
    lengths = torch.randint(1, NUM_TOKENS + 1, (shape[0], 1), generator=rng)
    return PreferenceInputs(
        logprobs=(reference + gains).requires_grad_(),
        reference_logprobs=reference,
        response_mask=torch.arange(NUM_TOKENS)[None] < lengths,
        knowledge_mask=None,
        chosen=torch.arange(NUM_PAIRS),
        rejected=torch.arange(NUM_PAIRS, 2 * NUM_PAIRS),
    )


class GivenLogprobs(torch.nn.Module):
    """Answers with the log-probs that it was given for what `input_ids` says."""

    def __init__(self, given: dict[int, torch.Tensor]) -> None:
        super().__init__()
        self.given = given

    def forward(self, input_ids: torch.Tensor, **_: Any) -> SimpleNamespace:
        values = self.given[int(input_ids[0, 0])]
        unread = torch.zeros_like(values)
        return SimpleNamespace(log_probs=values, entropy=unread, mean_logits=unread, is_top1=unread.bool())


def peer(kind: type, given: dict[int, torch.Tensor], **options: Any) -> Any:
    """A trainer with no more than what its loss reads."""
    trainer = kind.__new__(kind)
    trainer.model = GivenLogprobs(given)
    trainer.accelerator = Accelerator(cpu=True)
    trainer.aux_loss_enabled = False
    trainer.precompute_ref_logps = True
    trainer._metrics = {"train": defaultdict(list), "eval": defaultdict(list)}
    trainer._total_train_tokens, trainer._tp_size = 0, 1
    vars(trainer).update(options)
    return trainer


def sums(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return (values * mask).sum(1)


def tokens(mask: torch.Tensor, kind: int = ANSWERS) -> dict[str, torch.Tensor]:
    """A batch whose prompts have one token, before the answers."""
    prompt = torch.zeros(len(mask), 1, dtype=torch.long)
    whole = torch.cat([prompt, mask.long()], dim=1)
    prefix = "KL_" if kind == MISMATCHED else ""
    return {
        f"{prefix}input_ids": torch.full_like(whole, kind),
        f"{prefix}attention_mask": torch.ones_like(whole),
        f"{prefix}completion_mask": whole,
    }


def their_dpo(given: PreferenceInputs, loss_types: dict[str, float], **options: Any) -> tuple[torch.Tensor, Any]:
    """(loss, metrics) of TRL's losses with their weights."""
    trainer = peer(
        DPOTrainer,
        {ANSWERS: given.logprobs * given.response_mask},
        **{"label_smoothing": 0.0, **options},
        loss_types=list(loss_types),
        loss_weights=list(loss_types.values()),
        f_divergence_type="reverse_kl",
        ld_alpha=None,
        use_weighting=False,
    )
    references = sums(given.reference_logprobs, given.response_mask)
    batch = {
        **tokens(given.response_mask),
        "ref_chosen_logps": references[given.chosen],
        "ref_rejected_logps": references[given.rejected],
    }
    loss = trainer._compute_loss(trainer.model, batch, return_outputs=False)
    return loss, {name: values[-1] for name, values in trainer._metrics["train"].items()}


def ours(given: PreferenceInputs, config: PreferenceConfig) -> tuple[torch.Tensor, dict[str, float]]:
    scale = PairScale(
        dp_size=1,
        num_pairs=len(given.chosen),
        num_chosen_tokens=int(given.response_mask[given.chosen].sum()),
    )
    return preference_loss(given, config, scale)


def assert_same(mine: PreferenceInputs, theirs: PreferenceInputs, found: torch.Tensor, expected: torch.Tensor) -> None:
    found.backward()
    expected.backward()
    assert abs(found - expected) <= 1e-6
    assert (mine.logprobs.grad - theirs.logprobs.grad).abs().max() <= 1e-6
    assert theirs.logprobs.grad.abs().max() > 1e-3


LOSSES = {
    "sigmoid": ({"loss": PairLoss.sigmoid}, {"sigmoid": 1.0}),
    "hinge": ({"loss": PairLoss.hinge}, {"hinge": 1.0}),
    "ipo": ({"loss": PairLoss.ipo, "length_normalized": True}, {"ipo": 1.0}),
    "sigmoid_norm": ({"loss": PairLoss.sigmoid, "length_normalized": True}, {"sigmoid_norm": 1.0}),
    "sigmoid and sft": ({"loss": PairLoss.sigmoid, "sft_weight": 0.4}, {"sigmoid": 1.0, "sft": 0.4}),
    "hinge and sft": ({"loss": PairLoss.hinge, "sft_weight": 2.0}, {"hinge": 1.0, "sft": 2.0}),
}


@pytest.mark.parametrize("beta", [0.1, 0.5])
@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("seed", SEEDS)
def test_the_losses_of_pairs_and_their_gradients_are_trls(seed, name, beta):
    config, loss_types = LOSSES[name]
    mine, theirs = inputs(seed), inputs(seed)
    found, _ = ours(mine, PreferenceConfig(beta=beta, **config))
    expected, _ = their_dpo(theirs, loss_types, beta=beta)
    assert_same(mine, theirs, found, expected)


def pair(given: PreferenceInputs, number: int) -> PreferenceInputs:
    rows = torch.stack([given.chosen[number], given.rejected[number]])
    names = ("logprobs", "reference_logprobs", "response_mask")
    parts = {name: getattr(given, name)[rows] for name in names}
    return replace(given, **parts, chosen=torch.tensor([0]), rejected=torch.tensor([1]))


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.3, 0.5])
@pytest.mark.parametrize("seed", SEEDS)
def test_label_smoothing_is_that_of_trls_aot_which_pair_by_pair_is_conservative_dpo(seed, smoothing):
    mine, theirs = inputs(seed), inputs(seed)
    found, _ = ours(mine, PreferenceConfig(label_smoothing=smoothing))
    # TRL's sigmoid takes no smoothing; its aot first sorts the margins of a batch, and a batch of one is sorted.
    single = [
        their_dpo(pair(theirs, number), {"aot": 1.0}, beta=0.1, label_smoothing=smoothing)[0]
        for number in range(NUM_PAIRS)
    ]
    assert_same(mine, theirs, found, torch.stack(single).mean())


@pytest.mark.parametrize("smoothing", [0.1, 0.3])
@pytest.mark.parametrize("seed", SEEDS)
def test_trls_robust_loss_is_made_of_two_of_ours(seed, smoothing):
    given = inputs(seed)
    plain, swapped = (
        ours(part, PreferenceConfig())[0]
        for part in (given, replace(given, chosen=given.rejected, rejected=given.chosen))
    )
    expected, _ = their_dpo(inputs(seed), {"robust": 1.0}, beta=0.1, label_smoothing=smoothing)
    assert abs(((1 - smoothing) * plain - smoothing * swapped) / (1 - 2 * smoothing) - expected) <= 1e-6


NAMES = {
    "preference/chosen_reward/mean": "rewards/chosen",
    "preference/rejected_reward/mean": "rewards/rejected",
    "preference/accuracy/mean": "rewards/accuracies",
    "preference/margin/mean": "rewards/margins",
    "preference/chosen_logprob/mean": "logps/chosen",
    "preference/rejected_logprob/mean": "logps/rejected",
}


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("seed", SEEDS)
def test_metrics_of_pairs_are_trls(seed, name):
    config, loss_types = LOSSES[name]
    _, found = ours(inputs(seed), PreferenceConfig(beta=0.2, **config))
    _, expected = their_dpo(inputs(seed), loss_types, beta=0.2)
    assert {theirs: found[name] for name, theirs in NAMES.items()} == pytest.approx(
        {name: expected[name] for name in NAMES.values()}, abs=1e-6
    )


def their_kto(
    given: PreferenceInputs, apart: PreferenceInputs, labels: torch.Tensor, config: KtoConfig
) -> tuple[torch.Tensor, Any]:
    """(loss, metrics); `apart` are the answers to other prompts."""
    trainer = peer(
        KTOTrainer,
        {ANSWERS: given.logprobs * given.response_mask, MISMATCHED: apart.logprobs * apart.response_mask},
        beta=config.beta,
        desirable_weight=config.desirable_weight,
        undesirable_weight=config.undesirable_weight,
        calculate_KL=True,
        loss_type="kto",
    )
    batch = {
        **tokens(given.response_mask),
        **tokens(apart.response_mask, MISMATCHED),
        "label": labels,
        "ref_logps": sums(given.reference_logprobs, given.response_mask),
        "ref_KL_logps": sums(apart.reference_logprobs, apart.response_mask),
    }
    loss = trainer._compute_loss(trainer.model, batch, return_outputs=False)
    return loss, {name: values[-1] for name, values in trainer._metrics["train"].items()}


@pytest.mark.parametrize("config", [KtoConfig(), KtoConfig(beta=0.3, desirable_weight=1.33, undesirable_weight=0.7)])
@pytest.mark.parametrize("num_chosen", [0, 3, 5, 2 * NUM_PAIRS])
@pytest.mark.parametrize("seed", SEEDS)
def test_kto_with_its_kl_gradients_and_metrics_is_trls(seed, num_chosen, config):
    order = torch.randperm(2 * NUM_PAIRS, generator=torch.Generator().manual_seed(seed))
    labels = torch.zeros(2 * NUM_PAIRS, dtype=torch.bool).index_fill(0, order[:num_chosen], True)
    sides = {"chosen": labels.nonzero().flatten(), "rejected": (~labels).nonzero().flatten()}
    mine, theirs, apart = replace(inputs(seed), **sides), inputs(seed), inputs(seed + 100)
    kl = kl_share(apart.logprobs, apart.reference_logprobs, apart.response_mask, len(labels))
    scale = KtoScale(dp_size=1, num_chosen=num_chosen, num_rejected=len(labels) - num_chosen)
    found, metrics = kto_loss(mine, config, scale, kl)
    expected, their_metrics = their_kto(theirs, apart, labels, config)
    assert_same(mine, theirs, found, expected)
    assert max(kl, 0.0) == pytest.approx(their_metrics["kl"], abs=1e-6)
    told = {NAMES[name]: value for name, value in metrics.items() if name != "preference/accuracy/mean"}
    assert told == pytest.approx(
        {name: their_metrics[name] for name in NAMES.values() if name in their_metrics}, abs=1e-6
    )


def test_the_kls_of_these_tests_lie_on_both_sides_of_zero():
    answers = [inputs(seed + 100) for seed in SEEDS]
    kls = [kl_share(one.logprobs, one.reference_logprobs, one.response_mask, 2 * NUM_PAIRS) for one in answers]
    assert min(kls) < 0 < max(kls)
