"""The facts about this machine that `assay doctor` checks, and how they are found without importing a heavy package."""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path
from tempfile import TemporaryFile
from typing import TypeVar

GIB = 2**30
SHM = Path("/dev/shm")
SMI_TIMEOUT_S = 20.0
OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
"""Variables by which nothing is fetched from the hub."""
TRUE = ("1", "ON", "YES", "TRUE")


@dataclass(frozen=True, kw_only=True)
class Broken:
    """A package that fails, or does not answer."""

    reason: str


@dataclass(frozen=True, kw_only=True)
class Torch:
    version: str
    """With the build, e.g. 2.13.0+cpu."""
    cuda: str | None
    """CUDA version that it is built for; None for a CPU build."""
    num_gpus: int
    """GPUs that it can use."""


@dataclass(frozen=True, kw_only=True)
class Vision:
    """The package torchvision."""

    version: str
    """With the build, e.g. 0.28.0+cu130."""
    torch: str
    """Version of torch that it is made for; "" if it names none."""


@dataclass(frozen=True, kw_only=True)
class Gpus:
    """The GPUs that nvidia-smi lists."""

    names: tuple[str, ...]
    memory_gib: float
    """Memory of the smallest."""
    driver: str
    cuda: str
    """Newest CUDA version that the driver supports; "unknown" if it does not say."""


@dataclass(frozen=True, kw_only=True)
class Vllm:
    version: str


@dataclass(frozen=True, kw_only=True)
class Ray:
    version: str


@dataclass(frozen=True, kw_only=True)
class Wandb:
    version: str
    mode: str
    """Mode that logging.wandb=auto stands for here."""


@dataclass(frozen=True, kw_only=True)
class Storage:
    """A folder that runs write into, or the nearest one above it that exists."""

    path: str
    writable: bool
    free_gib: float


@dataclass(frozen=True, kw_only=True)
class HubCache:
    """The folder in which the Hugging Face hub's models are kept."""

    storage: Storage
    num_models: int
    offline_by: str
    """Variable that forbids fetching; "" if none does."""


Facts = TypeVar("Facts", bound=Torch | Vision | Vllm | Ray | Wandb)


def asked(kind: type[Facts], timeout_s: float) -> Facts | Broken:
    """Return what launch/doctor/probes.py finds in a process of its own; a crash or a standstill is Broken."""
    command = [sys.executable, "-m", "launch.doctor.probes", kind.__name__]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)
    except subprocess.TimeoutExpired:
        return Broken(reason=f"no answer in {timeout_s:g} s")
    answers = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or not answers:
        return Broken(reason=" ".join([f"exit code {done.returncode}", *done.stderr.strip().splitlines()[-1:]]))
    found = json.loads(answers[-1])
    return Broken(**found) if "reason" in found else kind(**found)


def installed(*names: str) -> list[str]:
    """Return those of the names that are installed packages."""
    found = {each.name.lower() for each in distributions()}
    return [name for name in names if name in found]


def gpus_here() -> Gpus | None:
    """Return what nvidia-smi lists; None without it, or if it lists nothing."""
    if shutil.which("nvidia-smi") is None:
        return None
    listed = _said("nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader,nounits")
    return gpus_listed(listed, _said("nvidia-smi"))


def gpus_listed(listed: str, banner: str) -> Gpus | None:
    """Read the lines "name, MiB, driver" of a query, and the version of CUDA from nvidia-smi's own table."""
    rows = [row for row in (line.split(", ") for line in listed.splitlines()) if len(row) == 3]
    if not rows:
        return None
    cuda = re.search(r"CUDA[\w ]* Version: *([\d.]+)", banner)
    return Gpus(
        names=tuple(name for name, _, _ in rows),
        memory_gib=min(int(mib) if mib.isdigit() else 0 for _, mib, _ in rows) / 1024,
        driver=rows[0][2],
        cuda=cuda[1] if cuda else "unknown",
    )


def shm_gib() -> float | None:
    """Return the size of the shared memory; None on systems without the folder."""
    return shutil.disk_usage(SHM).total / GIB if SHM.is_dir() else None


def storage_of(path: Path) -> Storage:
    folder = next(each for each in (path.absolute(), *path.absolute().parents) if each.is_dir())
    return Storage(path=str(path), writable=_can_write(folder), free_gib=shutil.disk_usage(folder).free / GIB)


def hub_cache() -> HubCache:
    """Find the cache as huggingface_hub does, by its variables."""
    caches = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    home = os.environ.get("HF_HOME") or caches / "huggingface"
    folder = Path(os.environ.get("HF_HUB_CACHE") or Path(home) / "hub").expanduser()
    forbidding = [name for name in OFFLINE if os.environ.get(name, "").upper() in TRUE]
    return HubCache(
        storage=storage_of(folder), num_models=len(list(folder.glob("models--*"))), offline_by=(forbidding or [""])[0]
    )


def _can_write(folder: Path) -> bool:
    try:
        TemporaryFile(dir=folder).close()
    except OSError:
        return False
    return True


def _said(*command: str) -> str:
    """Return the standard output of a program; "" if it fails or does not end."""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=SMI_TIMEOUT_S, check=True).stdout
    except (subprocess.SubprocessError, OSError):
        return ""
