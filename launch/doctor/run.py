"""`assay doctor`: say what this machine lacks, a line for each thing that runs depend on."""

import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from launch.doctor.checks import (
    CPU_BUILD,
    GPU_BUILD,
    Line,
    Verdict,
    gpu_line,
    hub_line,
    python_line,
    ray_line,
    storage_line,
    torch_line,
    vllm_line,
    wandb_line,
)
from launch.doctor.facts import (
    Ray,
    Torch,
    Vision,
    Vllm,
    Wandb,
    asked,
    gpus_here,
    hub_cache,
    installed,
    shm_gib,
    storage_of,
)

TIMEOUT_S = 120.0
"""Longest wait for one package; all are asked at the same time."""
RUNS = Path("runs")
USAGE = """usage: assay doctor

Checks what runs depend on and prints a line for each: ok, warning or fault, with what to do. It has no keys and takes
half a minute. The exit code is 1 if something is at fault, so that no run would work, and else 0."""


def main(argv: Sequence[str]) -> int:
    """Print the lines as they are found; return 1 if one of them is a fault."""
    if argv:
        asked_for = argv[0] in ("--help", "-h")
        print(USAGE, file=sys.stdout if asked_for else sys.stderr)
        return 0 if asked_for else 2
    found = []
    for line in _lines():
        print(line, flush=True)
        found.append(line.verdict)
    faults, warnings = found.count(Verdict.fault), found.count(Verdict.warning)
    print(f"faults: {faults}, warnings: {warnings}")
    return int(faults > 0)


def _lines() -> Iterator[Line]:
    """Yield the lines: first those that need no package."""
    with ThreadPoolExecutor() as pool:
        torch, vision = pool.submit(asked, Torch, TIMEOUT_S), pool.submit(asked, Vision, TIMEOUT_S)
        vllm, ray = pool.submit(asked, Vllm, TIMEOUT_S), pool.submit(asked, Ray, TIMEOUT_S)
        wandb, gpus = pool.submit(asked, Wandb, TIMEOUT_S), gpus_here()
        yield python_line((sys.version_info.major, sys.version_info.minor, sys.version_info.micro))
        yield storage_line("output", storage_of(RUNS), "give another folder: output=FOLDER")
        yield storage_line("temporary", storage_of(Path(tempfile.gettempdir())), "set TMPDIR to another folder")
        yield hub_line(hub_cache())
        yield torch_line(torch.result(), vision.result())
        yield gpu_line(gpus, torch.result())
        yield wandb_line(wandb.result())
        yield ray_line(ray.result(), os.environ.get("RAY_ADDRESS", ""), shm_gib())
        yield vllm_line(vllm.result(), installed(GPU_BUILD, CPU_BUILD), gpus)
