"""Small real runs, started as a user starts them, watched, stopped and killed."""

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
from safetensors.torch import load_file

ROOT = Path(__file__).parents[2]
RUN_S = 600
HERE = {"PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT / "tests"), os.environ.get("PYTHONPATH"))))}
"""Environment in which a run finds the reward function of builders/talking_reward.py."""
SMALL = (
    "experiment=demo",
    "data.num_heldout=8",
    "algo.num_prompts=4",
    "algo.num_completions=4",
    "algo.kl_weight=0.01",
    "algo.num_updates=2",
    "cluster.cpus_per_actor=0.25",
    "cluster.cpus_per_reward_worker=0.25",
    "logging.samples_every=2",
)
"""Unlike the demo, these runs have a reference actor and two updates per batch."""
THREE_STEPS = (*SMALL, "num_steps=3")
TEN_STEPS = (
    *SMALL,
    "num_steps=10",
    "checkpoint.every=3",
    "checkpoint.keep_last=5",
    "eval_every=3",
    "algo.schedule=linear",
    "reward.functions=[{path: builders.talking_reward.talks, weight: 0}]",
)
FEW = ("cluster.num_learners=1", "algo.kl_weight=0")
"""Options of tests that need no second learner and no reference; each actor takes seconds to start."""


@dataclass(frozen=True, kw_only=True)
class Run:
    folder: Path
    summary: dict[str, Any]
    output: str

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Read metrics.jsonl."""
        return [json.loads(line) for line in (self.folder / "metrics.jsonl").read_text().splitlines()]

    @property
    def steps(self) -> list[dict[str, Any]]:
        """Read the rows of the training steps."""
        return [row for row in self.rows if "actor/loss" in row]


def finished_run(folder: Path, *arguments: str) -> Run:
    """Train to the end in `folder`, which the arguments name too; if the run fails, show its output."""
    done = assay("train", *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return Run(folder=folder, summary=json.loads(done.stdout.strip().splitlines()[-1]), output=done.stdout)


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
        env=os.environ | HERE | (env or {}),
    )


@dataclass(frozen=True, kw_only=True)
class Started:
    """Run under way; its process leads a process group."""

    process: subprocess.Popen[str]

    def wait_for_step(self, folder: Path, step: int, timeout_s: float = 300) -> None:
        """Wait until metrics.jsonl has that training step."""
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
        env=os.environ | HERE,
        start_new_session=True,
        # A suite started in the background ignores Ctrl-C, and so would its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        yield Started(process=process)
    finally:
        process.kill()


def children(run: Started) -> list[psutil.Process]:
    """List the descendants of a run's process."""
    return psutil.Process(run.process.pid).children(recursive=True)


def actor_among(processes: list[psutil.Process], name: str) -> psutil.Process:
    """Find a process by the class of its Ray actor."""
    return next(process for process in processes if name in " ".join(process.cmdline()))


def still_alive(processes: list[psutil.Process], timeout_s: float) -> list[psutil.Process]:
    return psutil.wait_procs(processes, timeout=timeout_s)[1]


def kill_all(run: Started) -> None:
    family = [psutil.Process(run.process.pid), *children(run)]
    for process in family:
        process.kill()
    psutil.wait_procs(family, timeout=30)


def measured(folder: Path) -> list[dict[str, Any]]:
    """Read metrics.jsonl without times and speeds."""
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{name: row[name] for name in row if not name.startswith(("time", "perf", "chain"))} for row in rows]


def newest_step(run: Path) -> int:
    """Return the step of a run's newest checkpoint."""
    return max(int(path.name.removeprefix("step_")) for path in (run / "checkpoints").glob("step_*"))


def weights_of(model: Path) -> dict[str, Any]:
    """Read the tensors of a model folder."""
    return load_file(model / "model.safetensors")


def same_weights(model: Path, other: Path) -> int:
    """Assert that two model folders hold the same tensors, bit for bit; return their number."""
    found, expected = weights_of(model), weights_of(other)
    assert found.keys() == expected.keys()
    assert all(found[name].equal(tensor) for name, tensor in expected.items())
    return len(found)
