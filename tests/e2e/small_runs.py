"""How the end-to-end tests start a small run of the real thing."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

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
FEW = ("cluster.num_learners=1", "algo.kl_weight=0")
"""For what needs no second learner and no reference: each actor takes seconds to start."""


@dataclass(frozen=True, kw_only=True)
class Run:
    folder: Path
    summary: dict[str, Any]
    output: str


def assay(
    *arguments: str, timeout_s: float = RUN_S, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "launch", *arguments]
    return subprocess.run(
        command,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
        env=os.environ | (env or {}),
    )


@dataclass(frozen=True, kw_only=True)
class Started:
    """A run under way, the leader of its process group."""

    process: subprocess.Popen[str]

    def wait_for_step(self, folder: Path, step: int, timeout_s: float = 300) -> None:
        """Until metrics.jsonl has that training step."""
        deadline = time.monotonic() + timeout_s
        metrics = folder / "metrics.jsonl"
        while not (metrics.exists() and metrics.read_text().count('"actor/loss"') >= step):
            assert self.process.poll() is None, self.process.communicate()[0][-2000:]
            assert time.monotonic() < deadline, f"no step {step} in {timeout_s:g} s"
            time.sleep(0.05)

    def wait_for_lines(self, file: Path, count: int, timeout_s: float = 300) -> None:
        deadline = time.monotonic() + timeout_s
        while not (file.exists() and file.read_bytes().count(b"\n") >= count):
            assert self.process.poll() is None, self.process.communicate()[0][-2000:]
            assert time.monotonic() < deadline, f"no {count} lines in {file} in {timeout_s:g} s"
            time.sleep(0.02)

    def wait_for(self, path: Path, timeout_s: float = 300) -> None:
        deadline = time.monotonic() + timeout_s
        while not path.exists():
            assert self.process.poll() is None, self.process.communicate()[0][-2000:]
            assert time.monotonic() < deadline, f"no {path} in {timeout_s:g} s"
            time.sleep(0.02)

    def signal_group(self, number: int) -> None:
        os.killpg(self.process.pid, number)


@contextmanager
def start(*arguments: str) -> Iterator[Started]:
    process = subprocess.Popen(
        [sys.executable, "-m", "launch", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        # A suite started in the background ignores Ctrl-C, and so would its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        yield Started(process=process)
    finally:
        process.kill()


def kill_all(run: Started) -> None:
    family = [psutil.Process(run.process.pid), *psutil.Process(run.process.pid).children(recursive=True)]
    for process in family:
        process.kill()
    psutil.wait_procs(family, timeout=30)


def measured(folder: Path) -> list[dict[str, Any]]:
    """metrics.jsonl without what a clock says."""
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{name: row[name] for name in row if not name.startswith(("time", "perf"))} for row in rows]
