"""Devices and process groups: everything else asks here."""

import platform
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist

from actors.config import ClusterConfig, Placement
from actors.setups import Rank


def worker_env(config: ClusterConfig) -> dict[str, str]:
    """Return the environment of a model's process; torch's thread pools read it when torch is imported."""
    threads = str(config.threads_per_actor)
    return {
        "OMP_NUM_THREADS": threads,
        "MKL_NUM_THREADS": threads,
        # Idle threads that spin would take the cores of the other actors.
        "OMP_WAIT_POLICY": "passive",
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    }


def device_name(use_gpu: bool) -> str:
    return "cuda" if use_gpu else "cpu"


def device(config: ClusterConfig) -> torch.device:
    """Return the device of this process; Ray shows each actor only its own GPU, as number 0."""
    return torch.device(device_name(config.gpus_per_actor > 0))


def hardware(config: ClusterConfig) -> str:
    """Return the name of this process's GPU or, if it runs on CPUs, of this machine's processor."""
    own = device(config)
    return torch.cuda.get_device_name(own) if own.type == "cuda" else processor(Path("/proc/cpuinfo"))


def processor(cpuinfo: Path) -> str:
    """Return the processor's name from Linux's table, or else the name of its architecture."""
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next(filter(None, names), platform.machine())


def engine_sleeps(config: ClusterConfig) -> bool:
    """Return True if engines give their memory away while learners work; vLLM can free only GPU memory."""
    return config.placement is Placement.colocated and config.gpus_per_actor > 0


def open_store() -> dist.TCPStore:
    """Return a store at which ranks meet; it holds its port, a free one that the system chose, as long as it lives."""
    return dist.TCPStore("localhost", 0, is_master=True, wait_for_workers=False)


def join_group(config: ClusterConfig, rank: Rank) -> None:
    """Join the process group of the learners; a rank that waits longer than a call may take fails."""
    if device(config).type == "cuda":
        torch.cuda.set_device(0)
    limit = timedelta(seconds=config.call_timeout_s)
    host, _, port = rank.address.rpartition(":")
    dist.init_process_group(
        "nccl" if device(config).type == "cuda" else "gloo",
        store=dist.TCPStore(host, int(port), rank.count, is_master=False, timeout=limit),
        rank=rank.number,
        world_size=rank.count,
        timeout=limit,
    )
