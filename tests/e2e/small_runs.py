"""How the end-to-end tests start a small run of the real thing."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
RUN_S = 600
SMALL = (
    "experiment=demo",
    "num_steps=3",
    "data.num_heldout=8",
    "algo.num_prompts=4",
    "algo.num_completions=4",
    "algo.kl_weight=0.01",
    "algo.num_updates=2",
    "cluster.cpus_per_actor=0.25",
    "cluster.cpus_per_reward_worker=0.25",
    "logging.samples_every=2",
)
"""A reference actor and two updates a batch take part, unlike in the demo."""


@dataclass(frozen=True, kw_only=True)
class Run:
    folder: Path
    summary: dict[str, Any]
    output: str


def assay(*arguments: str, timeout_s: float = RUN_S) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "launch", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=timeout_s, check=False)
