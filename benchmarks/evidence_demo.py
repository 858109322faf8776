"""Claims about the demo."""

import json
import re
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.evidence import Claim, Outcome, by_tests, run

SEEDS = (0, 1, 2)
KEYS = set(
    "reward_first reward_last heldout_before heldout_after steps seconds samples_per_s parity_mean overhead".split()
)
SUMMARIES: list[dict] = []
"""Summaries of the demo by seed; the first claim fills the list, the next ones judge it."""


def demo_ends(command: str) -> Outcome:
    seconds = []
    for seed in SEEDS:
        done = run(command.format(seed=seed), timeout_s=1800)
        if done.code or not json.loads(done.last_line).keys() >= KEYS:
            return Outcome(holds=False, figure=f"seed {seed}: {done.fault or done.last_line}")
        SUMMARIES.append(json.loads(done.last_line))
        seconds.append(done.seconds)
    figure = "seconds by seed: " + ", ".join(f"{s:.0f}" for s in seconds)
    return Outcome(holds=max(seconds) <= 720, figure=figure)


def _each(judge, describe) -> Outcome:
    holds = len(SUMMARIES) == len(SEEDS) and all(judge(s) for s in SUMMARIES)
    return Outcome(holds=holds, figure="; ".join(describe(s) for s in SUMMARIES) or "no run")


def reward_rises(_: str) -> Outcome:
    def rise(s: dict) -> float:
        low, high = s["reward_range"]
        return (s["reward_last"] - s["reward_first"]) / (high - low)

    return _each(
        lambda s: rise(s) >= 0.15, lambda s: f"{s['reward_first']:.2f} → {s['reward_last']:.2f} (+{rise(s):.0%})"
    )


def heldout_rises(_: str) -> Outcome:
    def gain(s: dict, name: str) -> float:
        return s["heldout_after"][name] - s["heldout_before"][name]

    return _each(
        lambda s: gain(s, "accuracy") >= 0.08 and gain(s, "mean_iou") >= 0,
        lambda s: (
            f"accuracy {s['heldout_before']['accuracy']:.1%} → {s['heldout_after']['accuracy']:.1%}, "
            f"IoU {s['heldout_before']['mean_iou']:.2f} → {s['heldout_after']['mean_iou']:.2f}"
        ),
    )


def parity_holds(_: str) -> Outcome:
    return _each(lambda s: s["parity_mean"] <= 1e-4, lambda s: f"{s['parity_mean']:.1e}")


def overhead_is_small(_: str) -> Outcome:
    return _each(lambda s: s["overhead"] <= 0.20, lambda s: f"{s['overhead']:.1%}")


def same_seed_same_rewards(command: str) -> Outcome:
    rewards = []
    for attempt in ("a", "b"):
        folder = Path("runs/evidence") / time.strftime(f"%Y-%m-%d_%H-%M-%S_{attempt}")
        done = run(command.format(folder=folder), timeout_s=900)
        if done.code:
            return Outcome(holds=False, figure=done.fault)
        rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        rewards.append([row["reward/mean"] for row in rows if "reward/mean" in row])
    same = rewards[0] == rewards[1] and len(rewards[0]) == 6
    return Outcome(holds=same, figure=f"{len(rewards[0])} steps, rewards {'identical' if same else 'differ'}")


def ends_within(limit_s: float) -> Callable[[str], Outcome]:
    """Make a check that the tests pass within `limit_s` seconds."""

    def check(command: str) -> Outcome:
        done = run(command, timeout_s=3600)
        passed = ", ".join(re.findall(r"^(?:=+ )?(\d+ passed[^=\n]*)", done.output, flags=re.MULTILINE))
        return Outcome(
            holds=not done.code and done.seconds <= limit_s, figure=f"{done.seconds:.0f} s; {done.fault or passed}"
        )

    return check


def starts_sooner(command: str) -> Outcome:
    done = run(command, timeout_s=1800)
    if done.code:
        return Outcome(holds=False, figure=done.fault)
    now, before, ratio = (json.loads(line.partition(" ")[2]) for line in done.output.strip().splitlines()[-3:])
    names = ("all imports", "CPU until the first step", "first step")
    figure = "; ".join(f"{name} {before[name]:.1f} → {now[name]:.1f} s (×{ratio[name]:.2f})" for name in names)
    return Outcome(holds=ratio["all imports"] <= 0.5 and ratio["first step"] <= 0.5, figure=figure)


DEMO = "make demo SEED={seed}"
CLAIMS = [
    Claim(
        text="The demo ends in 12 minutes on 2 cores and its last line is the summary", command=DEMO, check=demo_ends
    ),
    Claim(text="Reward rises by 0.15 of its range, three seeds", command=DEMO, check=reward_rises),
    Claim(
        text="Held-out accuracy rises by 8 points, mean IoU is not lower, three seeds",
        command=DEMO,
        check=heldout_rises,
    ),
    Claim(text="Engine and learner log-probs agree to 1e-4 on average", command=DEMO, check=parity_holds),
    Claim(
        text="At most 20 % of a step is neither generating nor computing gradients",
        command=DEMO,
        check=overhead_is_small,
    ),
    Claim(
        text="The same seed gives the same rewards, step by step",
        command=".venv/bin/assay train experiment=demo num_steps=6 data.num_heldout=16 output={folder}",
        check=same_seed_same_rewards,
    ),
    Claim(
        text="The trained checkpoint answers the same in transformers, in vLLM and in the run",
        command=".venv/bin/pytest -rP tests/e2e/test_train.py -k answers_the_same",
        check=by_tests,
    ),
    Claim(
        text="Two FSDP ranks give the loss and gradient norm of one process without FSDP, to 1e-5",
        command=".venv/bin/pytest -rP tests/actors/test_learner.py -k two_ranks",
        check=by_tests,
    ),
    Claim(
        text="No path, host or address of a machine is in the repository",
        command=".venv/bin/pytest -rP tests/test_architecture.py -k machine",
        check=by_tests,
    ),
    Claim(
        text="From the command to the first step, and CPU seconds of imports in all processes: half of those of an "
        "earlier commit, measured in turns",
        command=".venv/bin/python -m benchmarks.startup --before af16814",
        check=starts_sooner,
    ),
    Claim(text="The checks pass in 3 minutes on 2 cores", command="make check", check=ends_within(180)),
    Claim(text="The tests pass in 20 minutes on 2 cores", command="make test", check=ends_within(1200)),
]
