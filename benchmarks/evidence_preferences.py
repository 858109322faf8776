"""Claims about teaching: SFT, DPO, KTO, KR-DPO, and DCR²-AD's chain in miniature."""

import json
from functools import cache
from math import sqrt
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.evidence import DEVIATIONS, Claim, Outcome, by_tests, run
from launch.run.members import OVERRIDES

PYTEST = ".venv/bin/pytest -rP"
SLOW = f"{PYTEST} -m slow --timeout 900"
SEEDS = (0, 1, 2)
LONGEST_S = 600
SHARED, EXACT = 0.65, 1e-5
NUM_VARIANTS = 6
ASSAY = "{ test -f data/demo/knowledge.yaml || .venv/bin/assay data >/dev/null; } && .venv/bin/assay train"
Figures = dict[str, Any]


def shared_prompt(command: str) -> Outcome:
    done = run(command, timeout_s=1800)
    if done.code:
        return Outcome(holds=False, figure=done.fault)
    found = json.loads(done.last_line)
    gaps = found["loss_gap"], found["gradient_gap"]
    return Outcome(
        holds=found["shared_to_apart_time"] <= SHARED and max(gaps) <= EXACT,
        figure=f"time ×{found['shared_to_apart_time']:.2f}; loss {gaps[0]:.0e} and gradient {gaps[1]:.0e} apart",
    )


def chain(command: str) -> Outcome:
    """Report the figures as found; the claim holds if each seed ends within its time."""
    told, ended = [], True
    for seed in SEEDS:
        summary, seconds = _trained(f"{command} seed={seed}")
        if not summary:
            return Outcome(holds=False, figure=f"seed {seed}: {seconds}")
        ended &= float(seconds) <= LONGEST_S
        before, after = (summary["stages"][name]["heldout_after"] for name in ("sft", "prefer"))
        pairs = summary["stages"]["pairs"]
        compared = ", ".join(
            f"{name} {_share(before, name)} → {_share(after, name)}" for name in ("accuracy", "knowledge")
        )
        told.append(
            f"seed {seed}: {compared}; {pairs['pairs']} pairs of {pairs['samples']} samples; {float(seconds):.0f} s"
        )
    return Outcome(holds=ended, figure="SFT → KR-DPO, 95 % intervals; " + "; ".join(told))


def ablation(command: str) -> Outcome:
    """Report the figures as found; the claim holds if every member finishes."""
    with TemporaryDirectory() as folder:
        done = run(f"{command} output={folder}/sweep", timeout_s=7200)
        if done.code:
            return Outcome(holds=False, figure=done.fault)
        rows = []
        for member in sorted(Path(folder, "sweep").glob("*/summary.json")):
            told = json.loads((member.parent / OVERRIDES).read_text())
            last = json.loads(member.read_text())["heldout_after"]
            name = next(text.partition("=")[2] for text in told if text.startswith("ablation="))
            rows.append(f"{name}: accuracy {_share(last, 'accuracy')}, knowledge {_share(last, 'knowledge')}")
    return Outcome(holds=len(rows) == NUM_VARIANTS, figure="; ".join(rows))


def _share(evaluation: Figures, name: str) -> str:
    """Format a share and its Wilson interval in percent."""
    share, count = evaluation[name], evaluation["samples"]
    middle = (share + DEVIATIONS**2 / (2 * count)) / (1 + DEVIATIONS**2 / count)
    half = (
        DEVIATIONS * sqrt(share * (1 - share) / count + (DEVIATIONS / (2 * count)) ** 2) / (1 + DEVIATIONS**2 / count)
    )
    return f"{100 * share:.1f} ({100 * (middle - half):.0f}–{100 * (middle + half):.0f})"


@cache
def _trained(command: str) -> tuple[Figures, float | str]:
    """Run the chain; return its summary and its seconds, or {} and the error."""
    with TemporaryDirectory() as folder:
        done = run(f"{command} output={folder}/run", timeout_s=3600)
        return ({}, done.fault) if done.code else (json.loads(done.last_line), done.seconds)


CLAIMS = [
    Claim(
        text="DPO (sigmoid, IPO, hinge, smoothed, normalised, with an SFT term) and KTO equal TRL's on the same "
        "tensors to 1e-6; KR-DPO a plain float64 one",
        command=f"{PYTEST} tests/rl/taught/test_preference_against_trl.py tests/rl/taught/test_kto.py "
        "tests/rl/taught/test_kr_dpo.py",
        check=by_tests,
    ),
    Claim(
        text="A DPO step with shared prompts has the loss and gradient of one without to 1e-5, in at most 0.65 of its "
        "time (700 prompt and 100 answer tokens)",
        command=".venv/bin/python -m benchmarks.preferences",
        check=shared_prompt,
    ),
    Claim(
        text="Packed lessons (images of different sizes and none) have the loss and gradient of answers one by one to "
        "1e-5, on one rank and two: SFT, DPO, KTO, spans",
        command=f"{SLOW} tests/actors/test_lessons.py",
        check=by_tests,
    ),
    Claim(
        text="DCR²-AD in miniature, three seeds, at most 10 minutes each: KR-DPO against its SFT start, as found",
        command=f"{ASSAY} experiment=dcr2ad_mini",
        check=chain,
    ),
    Claim(
        text="Its ablation, as found",
        command=f"{ASSAY} -m experiment=dcr2ad_mini/ablation",
        check=ablation,
    ),
    Claim(
        text="KR-RTS killed at a random point gives the same bytes when started again",
        command=f"{PYTEST} -m '' --timeout 900 tests/e2e/test_pairs.py tests/launch/pairs/test_pairs_verb.py "
        "tests/rl/data/pairs/test_journal.py",
        check=by_tests,
    ),
    Claim(
        text="A preference run killed with its cache torn, a chain killed between two stages, and DCR²-AD's "
        "chain killed at a random point of each of its stages go on as if nothing had happened",
        command=f"{SLOW} tests/e2e/test_taught_runs.py tests/e2e/test_chains.py tests/e2e/test_preset_chain.py",
        check=by_tests,
    ),
    Claim(
        text="All of 200 planted leaks are found, none of 500 clean texts is refused",
        command=f"{PYTEST} tests/rl/data/knowledge/test_leaks.py",
        check=by_tests,
    ),
]
