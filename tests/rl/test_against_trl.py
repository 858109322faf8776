"""Comparison of advantages and losses with TRL's trainers: random rewards, ragged lengths, unjudged completions."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import rl.import_fixes  # noqa: F401

import numpy as np
import pytest
import torch
from datasets import Dataset
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from trl import GRPOConfig, GRPOTrainer, RLOOConfig, RLOOTrainer

from builders.token_groups import bare_prompt, token_group
from rl.advantage import group_advantages
from rl.algorithm import Aggregation, AlgoConfig, Baseline, BatchNorm, PolicyLoss
from rl.loss import LossInputs, policy_loss
from rl.types import Group, Score
from rl.verl_core import Scale

# Importing TRL takes about ten seconds.
pytestmark = pytest.mark.slow

NUM_PROMPTS, NUM_COMPLETIONS, NUM_TOKENS = 3, 4, 6
LARGE = 1e4
"""Size of the rewards, and of the weights of sums that are normalised again; so large that TRL's 1e-4, which it adds to
every standard deviation, does not matter. We add far less."""
WEIGHTS = {"accuracy": LARGE, "format": LARGE / 4}
SEEDS = range(3)


def random_groups(seed: int) -> list[Group]:
    """Return random groups; in the last one a completion is unjudged."""
    rng = np.random.default_rng(seed)
    groups = []
    for number in range(NUM_PROMPTS):
        values = [{name: LARGE * int(rng.integers(-8, 9)) / 8 for name in WEIGHTS} for _ in range(NUM_COMPLETIONS)]
        scores = [
            Score(total=sum(weight * parts[name] for name, weight in WEIGHTS.items()), components=parts)
            for parts in values
        ]
        if number == NUM_PROMPTS - 1:
            scores[1] = Score(total=None, components=dict.fromkeys(WEIGHTS))
        groups.append(replace(token_group(bare_prompt([1, 2]), [[3]] * NUM_COMPLETIONS), scores=tuple(scores)))
    return groups


def trainer(kind: type, folder: Path, rewards: Sequence[Callable[..., Any]], **options: Any) -> Any:
    """Return a trainer of a language model small enough to answer at once."""
    words = {"<pad>": 0, "<eos>": 1, **{f"w{number}": number for number in range(2, 16)}}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<pad>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    torch.manual_seed(0)
    shape = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    args = (GRPOConfig if issubclass(kind, GRPOTrainer) else RLOOConfig)(
        output_dir=str(folder),
        per_device_train_batch_size=NUM_PROMPTS * NUM_COMPLETIONS,
        num_generations=NUM_COMPLETIONS,
        max_completion_length=NUM_TOKENS,
        use_cpu=True,
        bf16=False,
        report_to=[],
        beta=0.0,
        **options,
    )
    return kind(
        model=LlamaForCausalLM(LlamaConfig(vocab_size=16, pad_token_id=0, eos_token_id=1, **shape)),
        reward_funcs=list(rewards),
        args=args,
        train_dataset=Dataset.from_list([{"prompt": f"w{number + 2}"} for number in range(NUM_PROMPTS)]),
        processing_class=PreTrainedTokenizerFast(
            tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<eos>", padding_side="left"
        ),
    )


def their_advantages(kind: type, folder: Path, groups: Sequence[Group], **options: Any) -> torch.Tensor:
    """Return the advantages that the trainer computes from the groups' components."""
    scores = [score for group in groups for score in group.scores]

    def reward(name: str) -> Callable[..., list[float | None]]:
        return lambda completions, **_: [score.components[name] for score in scores]

    asked = [{"prompt": f"w{number + 2}"} for number in range(NUM_PROMPTS) for _ in range(NUM_COMPLETIONS)]
    weights = list(WEIGHTS.values())
    peer = trainer(kind, folder, [reward(name) for name in WEIGHTS], reward_weights=weights, **options)
    return peer._generate_and_score_completions(asked)["advantages"].double()


def ours(groups: Sequence[Group], **config: Any) -> torch.Tensor:
    found = group_advantages(groups, AlgoConfig(**config), WEIGHTS)
    return torch.tensor([value for group in found for value in group.advantages], dtype=torch.float64)


@pytest.mark.parametrize("seed", SEEDS)
def test_grpo_advantages_match_trl(seed, tmp_path):
    groups = random_groups(seed)
    assert (ours(groups) - their_advantages(GRPOTrainer, tmp_path, groups)).abs().max() <= 1e-6


@pytest.mark.parametrize("seed", SEEDS)
def test_advantages_without_the_standard_deviation_match_trl(seed, tmp_path):
    groups = random_groups(seed)
    theirs = their_advantages(GRPOTrainer, tmp_path, groups, scale_rewards="none")
    assert ((ours(groups, normalize_std=False) - theirs) / theirs.abs().max()).abs().max() <= 1e-6


@pytest.mark.parametrize("seed", SEEDS)
def test_rloo_advantages_match_trl(seed, tmp_path):
    groups = random_groups(seed)
    theirs = their_advantages(RLOOTrainer, tmp_path, groups)
    found = ours(groups, baseline=Baseline.leave_one_out, normalize_std=False)
    assert ((found - theirs) / theirs.abs().max()).abs().max() <= 1e-6


@pytest.mark.parametrize("seed", SEEDS)
def test_leave_one_out_advantages_normalised_over_the_batch_match_trl(seed, tmp_path):
    groups = random_groups(seed)
    theirs = their_advantages(RLOOTrainer, tmp_path, groups, normalize_advantages=True)
    found = ours(groups, baseline=Baseline.leave_one_out, normalize_std=False, normalize_batch=BatchNorm.completions)
    assert (found - theirs).abs().max() <= 1e-6


@pytest.mark.parametrize("seed", SEEDS)
def test_gdpo_advantages_match_trl(seed, tmp_path):
    groups = random_groups(seed)
    theirs = their_advantages(GRPOTrainer, tmp_path, groups, multi_objective_aggregation="normalize_then_sum")
    found = ours(groups, normalize_components=True, normalize_batch=BatchNorm.completions)
    assert (found - theirs).abs().max() <= 1e-6


class GivenLogprobs(GRPOTrainer):
    """TRL's trainer with given log-probs in place of the model's."""

    given: torch.Tensor

    def _get_per_token_logps_and_entropies(self, *args: Any, **kwargs: Any) -> tuple[torch.Tensor, torch.Tensor, None]:
        return self.given, torch.zeros_like(self.given), None


class GivenLogprobsRloo(RLOOTrainer):
    given: torch.Tensor

    def _get_per_token_logps_and_entropies(self, *args: Any, **kwargs: Any) -> tuple[torch.Tensor, torch.Tensor, None]:
        return self.given, torch.zeros_like(self.given), None


def inputs(seed: int) -> LossInputs:
    """Return random inputs with ratios on both sides of the clips and lengths from 1 to NUM_TOKENS."""
    rng = torch.Generator().manual_seed(seed)
    shape = (NUM_PROMPTS * NUM_COMPLETIONS, NUM_TOKENS)

    def noise(scale: float) -> torch.Tensor:
        return scale * torch.randn(shape, generator=rng, dtype=torch.float64)

    old = noise(1) - 3
    return LossInputs(
        logprobs=(old + noise(0.4)).requires_grad_(),
        old_logprobs=old,
        reference_logprobs=old + noise(0.3),
        advantages=torch.randn(shape[0], 1, generator=rng, dtype=torch.float64),
        mask=torch.arange(NUM_TOKENS)[None] < torch.randint(1, NUM_TOKENS + 1, (shape[0], 1), generator=rng),
    )


def as_trl(given: LossInputs) -> dict[str, torch.Tensor]:
    """Return TRL's batch with these numbers; the tokens themselves do not matter."""
    tokens = torch.zeros_like(given.mask, dtype=torch.long)
    return {
        "prompt_ids": tokens[:, :1],
        "prompt_mask": tokens[:, :1],
        "completion_ids": tokens,
        "completion_mask": given.mask.long(),
        "advantages": given.advantages[:, 0],
        "old_per_token_logps": given.old_logprobs,
        "old_logps": (given.old_logprobs * given.mask).sum(1),
        "ref_per_token_logps": given.reference_logprobs,
        "num_items_in_batch": given.mask.sum(),
    }


def our_loss(given: LossInputs, config: AlgoConfig) -> torch.Tensor:
    scale = Scale(
        dp_size=1,
        batch_num_tokens=int(given.mask.sum()),
        global_batch_size=len(given.mask),
        loss_scale_factor=NUM_TOKENS,
    )
    return policy_loss(given, config, scale)[0]


CLIPS = {"clip_low": 0.1, "clip_high": 0.25}
TRL_CLIPS = {"epsilon": 0.1, "epsilon_high": 0.25}
LOSSES = {
    "GRPO": ({"aggregation": Aggregation.sequence_mean, **CLIPS}, {"loss_type": "grpo", **TRL_CLIPS}),
    "DAPO": ({"aggregation": Aggregation.token_mean, **CLIPS}, {"loss_type": "dapo", **TRL_CLIPS}),
    "Dr. GRPO": ({"aggregation": Aggregation.dr_grpo, **CLIPS}, {"loss_type": "dr_grpo", **TRL_CLIPS}),
    "GSPO": (
        {"policy_loss": PolicyLoss.gspo, **CLIPS},
        {"loss_type": "grpo", "importance_sampling_level": "sequence", **TRL_CLIPS},
    ),
    # TRL's epsilon_high is the upper bound itself, 1 + clip_high.
    "CISPO": (
        {"policy_loss": PolicyLoss.cispo, "aggregation": Aggregation.token_mean, "clip_low": 1.0, "clip_high": 0.25},
        {"loss_type": "cispo", "epsilon_high": 1.25},
    ),
}


@pytest.mark.parametrize("kl_weight", [0.0, 0.3])
@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("seed", SEEDS)
def test_losses_and_gradients_match_trl(seed, name, kl_weight, tmp_path):
    config, options = LOSSES[name]
    mine, theirs = inputs(seed), inputs(seed)
    peer = trainer(GivenLogprobs, tmp_path, [len], use_bias_correction_kl=False, **options)
    peer.model.eval()
    peer.given, peer.beta = theirs.logprobs, kl_weight
    expected = peer._compute_loss(peer.model, as_trl(theirs))
    expected.backward()
    found = our_loss(mine, AlgoConfig(kl_weight=kl_weight, **config))
    found.backward()
    assert abs(found - expected) <= 1e-6
    assert (mine.logprobs.grad - theirs.logprobs.grad).abs().max() <= 1e-6


def test_rloo_gradients_match_trl_up_to_the_constant_length(tmp_path):
    theirs = inputs(0)
    own = theirs.logprobs.detach()
    mine = replace(theirs, logprobs=own.clone().requires_grad_(), old_logprobs=own)
    peer = trainer(GivenLogprobsRloo, tmp_path, [len])
    peer.model.eval()
    peer.given = theirs.logprobs
    peer._compute_loss(peer.model, as_trl(replace(theirs, old_logprobs=own))).backward()
    our_loss(mine, AlgoConfig(aggregation=Aggregation.dr_grpo)).backward()
    assert (NUM_TOKENS * mine.logprobs.grad - theirs.logprobs.grad).abs().max() <= 1e-6
