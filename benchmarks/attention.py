"""Cost of looking: `python -m benchmarks.attention` prints one line of JSON; about five minutes on two cores.

Three kinds of forward pass over the same batch take turns: plain; with the tap and ReAL's computation; and through
transformers' eager attention, with which the tap's attention is compared. `--shape 3b --device cuda` uses the layers of
Qwen2.5-VL-3B in bf16 and two images.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import rl.import_fixes  # noqa: F401

import torch
from transformers import Qwen2_5_VLForConditionalGeneration
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VLCausalLMOutputWithPast

from actors.model import PolicyModel
from actors.observing import PolicyObserver
from benchmarks.random_model import IMAGE, SHAPES, config_of, random_answer, random_prompt
from rl.batching import GroupBatch, to_batch
from rl.types import Group
from rollout.attention import TAPPED, Tap, gazes_of
from rollout.config import LocalizeConfig

SIDE = 30
"""Image tokens along each side, 900 in all."""
RESPONSES = (200, 512)
ROUNDS = 9
WARM_UP = 2
TOKENIZER = "models/starter"
TEXT_TOKENS = 60
MODES = ("plain", "look", "eager")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=SHAPES, default="12 layers", help="layers of the random model")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="device of the model")
    parser.add_argument("--peak", nargs=2, metavar=("MODE", "TOKENS"), help="print one mode's peak memory in bytes")
    options = parser.parse_args()
    if options.peak:
        mode, tokens = options.peak
        print(_peak(_passes(_case(options.shape, options.device, int(tokens)))[mode], options.device))
        return
    print(json.dumps({f"{tokens} response tokens": _measured(options, tokens) for tokens in RESPONSES}))


def _measured(options: argparse.Namespace, tokens: int) -> dict[str, float]:
    peaks = {mode: _peak_alone(options, mode, tokens) for mode in MODES}
    case = _case(options.shape, options.device, tokens)
    seconds = _seconds(_passes(case), options.device)
    ratios = {
        f"{mode}_to_plain_{what}": round(values[mode] / values["plain"], 3)
        for what, values in (("time", seconds), ("memory", peaks))
        for mode in MODES[1:]
    }
    return ratios | {"gap_to_eager": _gap(case)}


@dataclass(frozen=True, kw_only=True)
class Case:
    """Two models with the same weights, and the input of both."""

    policy: PolicyModel
    eager: Qwen2_5_VLForConditionalGeneration
    group: Group
    batch: GroupBatch


def _case(shape: str, device: str, num_tokens: int) -> Case:
    num_images = 1 if device == "cpu" else 2
    tapped, eager = (_model(shape, device, attention) for attention in (TAPPED, "eager"))
    group = _group(num_images, num_tokens)
    return Case(
        policy=PolicyModel(tapped, temperature=1.0, banned_token_ids=()).to(device).eval(),
        eager=eager,
        group=group,
        batch=to_batch([group]).to(torch.device(device)),
    )


def _model(shape: str, device: str, attention: str) -> Qwen2_5_VLForConditionalGeneration:
    torch.manual_seed(0)
    dtype = torch.float32 if device == "cpu" else torch.bfloat16
    model = Qwen2_5_VLForConditionalGeneration(config_of(shape)).to(device, dtype).eval()
    model.set_attn_implementation({"text_config": attention, "vision_config": "sdpa"})
    return model


def _passes(case: Case) -> dict[str, Callable[[], object]]:
    """Return the forward pass of each mode, over the same tokens."""
    looker, batch, localize = PolicyObserver(case.policy, TOKENIZER), case.batch, LocalizeConfig()
    return {
        "plain": torch.no_grad()(lambda: case.policy(batch).logprobs.tolist()),
        "look": lambda: looker.observe([case.group], batch, localize, with_maps=True),
        "eager": torch.no_grad()(lambda: _eager(case.eager, batch)),
    }


def _eager(model: Qwen2_5_VLForConditionalGeneration, batch: GroupBatch) -> tuple[torch.Tensor, list[list[float]]]:
    """Keep the attention of all layers, then average it, as published methods do; return it with the log-probs."""
    made = _attended(model, batch)
    taken = made.logits.float().log_softmax(-1)[0, batch.sources].gather(-1, batch.labels[:, None]).tolist()
    return torch.stack(made.attentions).mean((0, 2)), taken


def _attended(model: Qwen2_5_VLForConditionalGeneration, batch: GroupBatch) -> Qwen2_5_VLCausalLMOutputWithPast:
    return model(
        input_ids=batch.ids,
        attention_mask=torch.ones_like(batch.ids),
        pixel_values=batch.pixels.to(model.dtype),
        image_grid_thw=batch.grid,
        mm_token_type_ids=(batch.ids == IMAGE).int(),
        output_attentions=True,
    )


@torch.no_grad()
def _gap(case: Case) -> float:
    """Measure the relative distance of the tap's attention from eager attention."""
    config = LocalizeConfig()
    (gaze,) = gazes_of([case.group], case.batch, config.row)
    tap = Tap([gaze], config)
    case.policy(case.batch, tap)
    (found,) = tap.shares()
    layers = _attended(case.eager, case.batch).attentions
    expected = torch.stack([layer[0][:, gaze.rows][..., gaze.columns].float() for layer in layers]).mean((0, 1))
    return float((found - expected).norm() / expected.norm())


def _seconds(passes: dict[str, Callable[[], object]], device: str) -> dict[str, float]:
    """Time the modes in turns; return the median of each."""
    taken: dict[str, list[float]] = {mode: [] for mode in passes}
    for number in range(WARM_UP + ROUNDS):
        for mode, forward in passes.items():
            start = time.perf_counter()
            forward()
            if device == "cuda":
                torch.cuda.synchronize()
            if number >= WARM_UP:
                taken[mode].append(time.perf_counter() - start)
    return {mode: median(values) for mode, values in taken.items()}


def _peak_alone(options: argparse.Namespace, mode: str, tokens: int) -> int:
    """Measure a mode's peak memory in a new process, which holds nothing of another mode."""
    command = [sys.executable, "-m", "benchmarks.attention", "--shape", options.shape, "--device", options.device]
    # Freed blocks go back to the system, so that only used memory counts.
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
    done = subprocess.run(
        [*command, "--peak", mode, str(tokens)], capture_output=True, text=True, check=True, env=environment
    )
    return int(done.stdout.split()[-1])


def _peak(forward: Callable[[], object], device: str) -> int:
    """Return the peak of the bytes in use during a pass, minus those in use before it."""
    forward()
    if device == "cuda":
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        forward()
        return torch.cuda.max_memory_allocated() - before
    before = _status("VmRSS")
    # Linux sets the high-water mark back to the memory in use.
    Path("/proc/self/clear_refs").write_text("5")
    forward()
    return _status("VmHWM") - before


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith(f"{name}:")))


def _group(num_images: int, num_tokens: int) -> Group:
    prompt = random_prompt(num_images, SIDE, TEXT_TOKENS)
    last = len(prompt.token_ids)
    return Group(
        prompt=replace(prompt, anomaly_tokens=tuple(range(last - 10, last - 5))),
        completions=(random_answer(num_tokens),),
    )


if __name__ == "__main__":
    main()
