"""The facts of this machine are found, and a package that is broken or stands still is a fact too."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from launch.doctor.facts import Broken, Gpus, Torch, Wandb, asked, gpus_listed, hub_cache, installed, storage_of

ROOT = Path(__file__).parents[3]
SMI = """
| NVIDIA-SMI 570.124.06             Driver Version: 570.124.06     CUDA Version: 12.8     |
"""


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Yield a folder from which processes import first."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(ROOT)]))
    return tmp_path


def test_a_package_that_raises_on_import_is_broken_with_its_reason(packages):
    (packages / "torch.py").write_text("raise ImportError('libcudart.so.13: cannot open shared object file')")
    assert asked(Torch, 60) == Broken(reason="ImportError: libcudart.so.13: cannot open shared object file")


def test_a_package_that_ends_the_process_is_broken(packages):
    (packages / "torch.py").write_text("import os\nos._exit(139)")
    assert asked(Torch, 60) == Broken(reason="exit code 139")


def test_a_package_that_stands_still_is_broken_after_the_limit(packages):
    (packages / "torch.py").write_text("import time\ntime.sleep(60)")
    assert asked(Torch, 1) == Broken(reason="no answer in 1 s")


def test_wandb_tells_its_mode(monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "disabled")
    found = asked(Wandb, 120)
    assert isinstance(found, Wandb) and found.mode == "disabled"


def test_gpus_are_read_from_nvidia_smi():
    listed = "NVIDIA H200, 143771, 570.124.06\nNVIDIA H200, 143771, 570.124.06\n"
    gpus = Gpus(names=("NVIDIA H200",) * 2, memory_gib=143771 / 1024, driver="570.124.06", cuda="12.8")
    assert gpus_listed(listed, SMI) == gpus


@pytest.mark.parametrize("listed", ["", "No devices were found\n"])
def test_an_nvidia_smi_that_lists_nothing_is_no_gpu(listed):
    assert gpus_listed(listed, SMI) is None


def test_installed_packages_are_found_by_name():
    assert installed("pytest", "no-such-package") == ["pytest"]


def test_a_folder_that_is_not_there_yet_is_judged_by_the_nearest_one(tmp_path):
    found = storage_of(tmp_path / "runs/demo")
    assert (found.path, found.writable) == (str(tmp_path / "runs/demo"), True) and found.free_gib > 0


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs a folder that nobody can write, even as root")
def test_a_folder_without_write_rights_is_found():
    assert not storage_of(Path("/proc/runs")).writable


def test_the_hub_cache_follows_its_variables(tmp_path, monkeypatch):
    for name in ("HF_HUB_CACHE", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    (tmp_path / "hub/models--owner--name").mkdir(parents=True)
    found = hub_cache()
    assert (found.storage.path, found.num_models, found.offline_by) == (str(tmp_path / "hub"), 1, "")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "elsewhere"))
    assert (hub_cache().num_models, hub_cache().offline_by) == (0, "HF_HUB_OFFLINE")


def test_the_doctor_of_a_broken_installation_says_what_is_broken_and_ends_with_1(packages):
    for name in ("torch", "torchvision", "ray", "vllm", "wandb"):
        (packages / f"{name}.py").write_text(f"raise ImportError('{name} is torn')")
    command = [sys.executable, "-m", "launch", "doctor"]
    done = subprocess.run(command, cwd=packages, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (1, "")
    lines = [line.split(maxsplit=2) for line in done.stdout.splitlines()]
    told = {subject: (verdict, rest) for verdict, subject, rest in lines[:-1]}
    assert told["Python"][0] == "ok"
    for subject, name in {"torch": "torch", "Ray": "ray", "W&B": "wandb", "vLLM": "torch"}.items():
        assert told[subject][0] == "fault" and f"ImportError: {name} is torn" in told[subject][1]
    assert lines[-1][:2] == ["faults:", "4,"]
