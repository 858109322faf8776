"""One small run of the real thing, shared by the tests that look at it."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

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


@pytest.fixture(scope="session")
def demo_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "demo"
    done = assay("data", f"output={folder}", "num_parts=16")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="session")
def small_run(demo_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("run") / "first"
    done = assay("train", *SMALL, f"data.root={demo_data}", f"output={folder}")
    assert done.returncode == 0, done.stdout + done.stderr
    return Run(folder=folder, summary=json.loads(done.stdout.strip().splitlines()[-1]), output=done.stdout)
