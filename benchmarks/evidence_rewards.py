"""Claims about rewards and recipes."""

import json
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory

from benchmarks.evidence import Claim, Outcome, by_tests, run

PYTEST = ".venv/bin/pytest -rP"
RECIPES = ("mmr_ad_mini", "anomalyr1_mini", "judo_mini")
LEAST_RISE = 0.05
"""Least rise of the reward from a recipe's first to its last steps, as a share of the reward's range."""
CONTRAST = "algo.contrastive=true algo.bounded_negatives=true rollout.teacher.kind=borrowed"


def throughput(command: str) -> Outcome:
    done = run(command, timeout_s=900)
    if done.code:
        return Outcome(holds=False, figure=done.fault)
    found = json.loads(done.last_line)
    figure = (
        f"{found['completions_per_s']:,.0f} completions/s on one core; domain similarity at "
        f"{found['domain_to_encoder_alone']:.1%} of the bare encoder's speed; pairs/s by workers: "
        f"{found['domain_pairs_per_s_by_workers']}"
    )
    holds = found["completions_per_s"] >= 20_000 and found["domain_to_encoder_alone"] >= 0.9
    return Outcome(holds=holds, figure=figure)


def contrast_is_made(command: str) -> Outcome:
    shares = {}
    for options in ("", CONTRAST):
        with TemporaryDirectory() as folder:
            done = run(f"{command} {options} output={folder}/run", timeout_s=1200)
            if done.code:
                return Outcome(holds=False, figure=done.fault)
            rows = [json.loads(line) for line in (Path(folder) / "run/metrics.jsonl").read_text().splitlines()]
        name = "contrastive/left" if options else "reward/zero_std_groups"
        shares[options] = fmean(row[name] for row in rows if name in row)
    without, with_ = shares[""], shares[CONTRAST]
    figure = f"groups without contrast: {without:.1%} without, {with_:.1%} with contrastive sampling"
    return Outcome(holds=with_ == 0 < without, figure=figure)


def recipes_rise(command: str) -> Outcome:
    told, rises = [], []
    for recipe in RECIPES:
        with TemporaryDirectory() as folder:
            done = run(f"{command.replace('RECIPE', recipe)} output={folder}/run", timeout_s=1200)
        if done.code:
            return Outcome(holds=False, figure=f"{recipe}: {done.fault}")
        found = json.loads(done.last_line)
        low, high = found["reward_range"]
        rises.append((found["reward_last"] - found["reward_first"]) / (high - low))
        told.append(f"{recipe} {found['reward_first']:.2f} → {found['reward_last']:.2f} (+{rises[-1]:.0%})")
    return Outcome(holds=min(rises) >= LEAST_RISE, figure="; ".join(told))


ASSAY = "{ test -d data/demo || .venv/bin/assay data >/dev/null; } && .venv/bin/assay train"
CLAIMS = [
    Claim(
        text="Each reward gives its paper's numbers: MMR-AD 0.6, JUDO 0.6, ROAM's five, CGRO around its δ",
        command=f"{PYTEST} tests/rewards/test_golden.py",
        check=by_tests,
    ),
    Claim(
        text="The parser never raises, in linear time, over 100,000 mutated answers and hypothesis' own",
        command=f"{PYTEST} tests/rewards/answers/test_parse.py tests/rewards/answers/test_parse_fuzz.py",
        check=by_tests,
    ),
    Claim(
        text="Advantages and losses of the GRPO family agree with verl and TRL to 1e-6",
        command=f"{PYTEST} tests/rl/test_against_verl.py tests/rl/test_against_trl.py",
        check=by_tests,
    ),
    Claim(
        text="TRL's GRPOTrainer takes a step with our reward; verl loads it by its config and judges a parquet's rows",
        command=f"{PYTEST} tests/rewards/test_adapters.py tests/rewards/test_adapter_in_trl.py",
        check=by_tests,
    ),
    Claim(
        text="20,000 completions/s on one core; domain similarity within 10 % of the encoder alone",
        command=".venv/bin/python -m benchmarks.rewards",
        check=throughput,
    ),
    Claim(
        text="Negatives come from any OpenAI-compatible server, here `vllm serve`",
        command=f"{PYTEST} tests/rollout/test_teacher.py tests/rollout/test_endpoint.py",
        check=by_tests,
    ),
    Claim(
        text="With contrastive sampling no group of the demo stays without contrast",
        command=f"{ASSAY} experiment=demo num_steps=60 data.num_heldout=32 logging.wandb=disabled",
        check=contrast_is_made,
    ),
    Claim(
        text="Each recipe in miniature raises its own reward by 5 % of its range",
        command=f"{ASSAY} experiment=RECIPE logging.wandb=disabled",
        check=recipes_rise,
    ),
]
