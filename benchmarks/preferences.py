"""Time saved by a pair's shared prompt: `python -m benchmarks.preferences` prints one line of JSON; a few minutes.

Two ways to compute DPO's gradient on the same pairs take turns: each pair in a row that holds its prompt once, and each
answer in a row behind its own copy of the prompt, as in other trainers. `--device cuda` runs both in bf16.
"""

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from statistics import median

import rl.import_fixes  # noqa: F401

import torch
from transformers import Qwen2_5_VLForConditionalGeneration

from actors.model import PolicyModel
from benchmarks.random_model import SHAPES, config_of, random_answer, random_prompt
from rl.algorithm import AlgoConfig, Objective
from rl.batching import GroupBatch, to_batch
from rl.taught.lesson_loss import counts_of, lesson_loss
from rl.types import Group
from rollout.attention import TAPPED

NUM_PAIRS, SIDE, PROMPT_TOKENS, ANSWER_TOKENS = 2, 20, 700, 100
ROUNDS, WARM_UP = 5, 1
DPO = AlgoConfig(objective=Objective.dpo)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=SHAPES, default="12 layers", help="layers of the random model")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="device of the model")
    options = parser.parse_args()
    torch.manual_seed(0)
    dtype = torch.float32 if options.device == "cpu" else torch.bfloat16
    hf = Qwen2_5_VLForConditionalGeneration(config_of(options.shape)).to(options.device, dtype)
    hf.set_attn_implementation({"text_config": TAPPED, "vision_config": "sdpa"})
    hf.model.visual.requires_grad_(False)
    policy = PolicyModel(hf, temperature=1.0, banned_token_ids=()).to(options.device)
    pairs = [_pair(seed) for seed in range(NUM_PAIRS)]
    ways = {"shared": pairs, "apart": [one for pair in pairs for one in _apart(pair)]}
    batches = {name: to_batch(groups).to(torch.device(options.device)) for name, groups in ways.items()}
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(WARM_UP + ROUNDS):
        for name, batch in batches.items():
            start = time.perf_counter()
            _gradient(policy, batch, pairs)
            if options.device == "cuda":
                torch.cuda.synchronize()
            if number >= WARM_UP:
                taken[name].append(time.perf_counter() - start)
    seconds = {name: median(values) for name, values in taken.items()}
    (loss, gradient), (other, copied) = (_gradient(policy, batch, pairs) for batch in batches.values())
    found = {
        "shared_to_apart_time": round(seconds["shared"] / seconds["apart"], 3),
        "loss_gap": abs(loss - other),
        "gradient_gap": float((gradient - copied).norm() / copied.norm()),
    }
    print(json.dumps(found))


def _pair(seed: int) -> Group:
    """Make a prompt with an image and two answers."""
    prompt = random_prompt(1, SIDE, PROMPT_TOKENS - SIDE**2 - 1, seed)
    return Group(
        prompt=prompt,
        completions=tuple(random_answer(ANSWER_TOKENS, 10 * seed + side) for side in range(2)),
        advantages=(1.0, -1.0),
        reference_logprobs=((-7.0,) * ANSWER_TOKENS,) * 2,
    )


def _apart(pair: Group) -> list[Group]:
    """Split a pair into two groups, each an answer with its own copy of the prompt."""
    return [
        replace(
            pair,
            completions=pair.completions[side : side + 1],
            advantages=pair.advantages[side : side + 1],
            reference_logprobs=pair.reference_logprobs[side : side + 1],
        )
        for side in range(2)
    ]


def _gradient(policy: PolicyModel, batch: GroupBatch, pairs: Sequence[Group]) -> tuple[float, torch.Tensor]:
    policy.zero_grad()
    loss, _ = lesson_loss(batch, policy(batch).logprobs, DPO, counts_of(pairs, DPO), dp_size=1, kl=0.0)
    loss.backward()
    gradients = [parameter.grad.flatten() for parameter in policy.parameters() if parameter.grad is not None]
    return loss.item(), torch.cat(gradients)


if __name__ == "__main__":
    main()
