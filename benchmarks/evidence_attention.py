"""The claims of looking: ReAL, CGRO and `assay predict`."""

import json
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.evidence import Claim, Outcome, by_tests, run

PYTEST = ".venv/bin/pytest -rP"
SEEDS = (0, 1, 2)
LIMITS = {"200 response tokens": 1.10, "512 response tokens": 1.15}
MEMORY = 1.2
LAST_STEPS = 10
Figures = dict[str, float]


def cost(command: str) -> Outcome:
    done = run(command, timeout_s=1800)
    if done.code:
        return Outcome(holds=False, figure=done.fault)
    found: dict[str, dict[str, float]] = json.loads(done.last_line)
    told = [
        f"{length}: time ×{of['look_to_plain_time']:.2f}, peak memory ×{of['look_to_plain_memory']:.2f} (eager "
        f"×{of['eager_to_plain_time']:.2f} and ×{of['eager_to_plain_memory']:.0f})"
        for length, of in found.items()
    ]
    holds = all(
        of["look_to_plain_time"] <= LIMITS[length] and of["look_to_plain_memory"] <= MEMORY
        for length, of in found.items()
    )
    return Outcome(holds=holds, figure="; ".join(told))


def cgro_rises(command: str) -> Outcome:
    """Against the same run in which consistency is only measured."""
    return _compared(
        command,
        ("defective", "normal", "accuracy"),
        lambda with_, without: (
            with_["defective"] > max(without["defective"], DELTA_HIGH)
            and with_["normal"] <= without["normal"]
            and with_["accuracy"] >= without["accuracy"]
        ),
    )


def selection_pays(command: str) -> Outcome:
    return _compared(
        command,
        ("pixel_auroc", "pixel_auroc_all_tokens"),
        lambda with_, _: with_["pixel_auroc"] > with_["pixel_auroc_all_tokens"],
    )


def _compared(command: str, names: Sequence[str], holds: Callable[[Figures, Figures], bool]) -> Outcome:
    told, all_hold = [], True
    for seed in SEEDS:
        with_, without = (_trained(f"{command} seed={seed} {options}".strip()) for options in ("", WITHOUT))
        if isinstance(with_, str) or isinstance(without, str):
            return Outcome(holds=False, figure=f"seed {seed}: {with_ if isinstance(with_, str) else without}")
        all_hold &= holds(with_, without)
        told.append(f"seed {seed}: " + ", ".join(f"{name} {without[name]:.3f} → {with_[name]:.3f}" for name in names))
    return Outcome(holds=all_hold, figure="without → with the consistency reward; " + "; ".join(told))


@cache
def _trained(command: str) -> Figures | str:
    """J over the last training steps and the held-out figures; or what went wrong."""
    with TemporaryDirectory() as folder:
        done = run(f"{command} output={folder}/run", timeout_s=1200)
        if done.code:
            return done.fault
        rows: list[dict[str, Any]] = [
            json.loads(line) for line in (Path(folder) / "run/metrics.jsonl").read_text().splitlines()
        ]
    after = json.loads(done.last_line)["heldout_after"]
    looked = {
        label: fmean([row[name] for row in rows if name in row][-LAST_STEPS:])
        for label, name in ((label, f"attention/agreement_{label}/mean") for label in ("defective", "normal"))
    }
    return looked | {name: after[name] for name in ("accuracy", "pixel_auroc", "pixel_auroc_all_tokens")}


def predicts(command: str) -> Outcome:
    done = run(command, timeout_s=900)
    try:
        found = json.loads(done.last_line)
    except json.JSONDecodeError:
        return Outcome(holds=False, figure=done.fault or "it printed no figures")
    figure = f"200 images, 3 of them corrupt, in {found['seconds']:.0f} s; exit code and page as they should be"
    return Outcome(holds=not done.code and found["seconds"] <= 180, figure=done.fault or figure)


DELTA_HIGH = 0.3
WITHOUT = "reward.consistency.weight=0"
ASSAY = "{ test -d data/demo || .venv/bin/assay data >/dev/null; } && .venv/bin/assay train"
CLAIMS = [
    Claim(
        text="Taps equal eager attention to 1e-6 in fp32: two and twelve layers, GQA, padding, packing, two images of "
        "different sizes, LoRA, own or producing row; bf16 to 2e-3 relative",
        command=f"{PYTEST} tests/rollout/test_attention.py",
        check=by_tests,
    ),
    Claim(
        text="The same on two FSDP ranks; the pass that looks is the one that gives the old log-probs, and "
        "from these the learner learns bit for bit the same",
        command=f"{PYTEST} tests/actors/test_looking.py",
        check=by_tests,
    ),
    Claim(
        text="Looking costs at most 1.10 and 1.15 of a log-prob pass (900 image tokens, 200 and 512 response tokens) "
        "and 1.2 of its peak memory",
        command="OMP_NUM_THREADS=1 .venv/bin/python -m benchmarks.attention",
        check=cost,
    ),
    Claim(
        text="ReAL finds a planted defect (pixel AUROC ≥ 0.99), each ablation less; entropy and curvature by hand",
        command=f"{PYTEST} tests/rollout/test_localize.py",
        check=by_tests,
    ),
    Claim(
        text="Pixel metrics equal scikit-learn's and a naive AUPRO, in memory that does not grow with the images",
        command=f"{PYTEST} tests/rl/evaluation/test_pixels.py",
        check=by_tests,
    ),
    Claim(
        text="CGRO in miniature, three seeds: J of defective samples above δ1 and above the same run without the "
        "consistency reward, of normal ones not above it; held-out accuracy not lower",
        command=f"{ASSAY} experiment=cgro_mini",
        check=cgro_rises,
    ),
    Claim(
        text="In these runs the map of the selected tokens has a higher pixel AUROC than that of all tokens",
        command=f"{ASSAY} experiment=cgro_mini",
        check=selection_pays,
    ),
    Claim(
        text="`assay predict` on 200 demo images, three of them corrupt, in at most 3 minutes on CPU",
        command=".venv/bin/python -m benchmarks.predict",
        check=predicts,
    ),
    Claim(
        text="Its page in a real browser: pictures, filters, marked words, nothing that runs",
        command=f"{PYTEST} tests/e2e/test_predictions.py",
        check=by_tests,
    ),
]
