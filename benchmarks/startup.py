"""Seconds to the first step and CPU seconds of each process's imports, compared with an earlier commit."""

import argparse
import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import psutil

ROOT = Path(__file__).parents[1]
IMPORTS = {
    "driver": ["launch.command.app", "launch.train.run"],
    "learner": ["actors.learner", "verl.trainer.ppo.core_algos"],
    "reference": ["actors.reference"],
    "rollout worker": ["actors.rollout_worker", "rollout.engine"],
    "reward worker": ["actors.reward_worker"],
}
"""Modules that each process imports before it begins."""
WERE_CALLED = {"launch.command.app": "launch.app", "launch.train.run": "launch.train"}
"""Names of moved modules in earlier commits."""
TIMED = """
import sys, time
from importlib import import_module
for name in sys.argv[1:]:
    import_module(name)
print(f"seconds {time.process_time()}")
"""
LIMIT_S = 300.0


def import_s(checkout: Path, modules: list[str]) -> float:
    """Return the CPU seconds of a Python that imports the modules, its own start included."""
    is_there = {name: (checkout / f"{name.replace('.', '/')}.py").exists() for name in modules}
    there = [name if is_there[name] else WERE_CALLED.get(name, name) for name in modules]
    done = subprocess.run(
        [sys.executable, "-c", TIMED, *there], cwd=checkout, capture_output=True, text=True, timeout=LIMIT_S, check=True
    )
    return float(done.stdout.rpartition("seconds ")[2])


def cpu_s(process: psutil.Process) -> float:
    with suppress(psutil.NoSuchProcess):
        return sum(process.cpu_times()[:2])
    return 0.0


def first_step(checkout: Path, data: Path) -> tuple[float, float]:
    """Return the seconds to the end of the demo's first step, and the CPU seconds of the processes alive then."""
    with TemporaryDirectory() as folder:
        metrics = Path(folder) / "run/metrics.jsonl"
        options = ["experiment=demo", "data.num_heldout=8", f"data.root={data}", f"output={folder}/run"]
        began = time.perf_counter()
        run = subprocess.Popen(
            [sys.executable, "-m", "launch", "train", *options, "logging.wandb=disabled"],
            cwd=checkout,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            while not (metrics.exists() and '"actor/loss"' in metrics.read_text()):
                if run.poll() is not None:
                    raise SystemExit(
                        f"{checkout}: the demo ended with exit code {run.returncode} before its first step"
                    )
                if time.perf_counter() - began > LIMIT_S:
                    raise SystemExit(f"{checkout}: the demo made no step in {LIMIT_S:g} s")
                time.sleep(0.05)
            seconds, driver = time.perf_counter() - began, psutil.Process(run.pid)
            return seconds, sum(map(cpu_s, [driver, *driver.children(recursive=True)]))
        finally:
            run.terminate()
            run.wait(LIMIT_S)


def measured(checkout: Path, data: Path) -> dict[str, float]:
    """Measure one start: imports and first step."""
    found = {name: import_s(checkout, modules) for name, modules in IMPORTS.items()}
    found["all imports"] = sum(found.values())
    found["first step"], found["CPU until the first step"] = first_step(checkout, data)
    return found


def compared(before: str, rounds: int) -> dict[str, dict[str, float]]:
    """Return the medians of this checkout and of the commit `before`, if one is given, and their ratio."""
    with TemporaryDirectory() as folder:
        data, checkouts = Path(folder) / "demo", {"now": ROOT}
        subprocess.run(
            [sys.executable, "-m", "launch", "data", f"output={data}", "num_parts=16"],
            cwd=ROOT,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        if before:
            checkouts["before"] = Path(folder) / "before"
            subprocess.run(["git", "clone", "-q", str(ROOT), str(checkouts["before"])], check=True)
            subprocess.run(["git", "checkout", "-q", before], cwd=checkouts["before"], check=True)
        # The checkouts take turns, so that a busy minute of the machine affects both.
        found = [{name: measured(path, data) for name, path in checkouts.items()} for _ in range(rounds)]
    figures = {name: {each: median(one[name][each] for one in found) for each in found[0][name]} for name in checkouts}
    if before:
        figures["ratio"] = {each: value / figures["before"][each] for each, value in figures["now"].items()}
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", default="", help="commit to compare with, measured in turns with this checkout")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each checkout")
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    for name, found in compared(options.before, options.rounds).items():
        print(name, json.dumps({each: round(value, 2) for each, value in found.items()}))


if __name__ == "__main__":
    main()
