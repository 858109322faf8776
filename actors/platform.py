"""The one place that knows devices: everything else asks here."""

import os
from datetime import timedelta

import torch
import torch.distributed as dist

from actors.config import ClusterConfig, Placement


def worker_env(config: ClusterConfig) -> dict[str, str]:
    """Environment of a model's process; set before torch is imported there, so that its thread pools obey."""
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
    """Ray shows each actor its own GPU only, as number 0."""
    return torch.device(device_name(config.gpus_per_actor > 0))


def engine_sleeps(config: ClusterConfig) -> bool:
    """Whether engines give their memory away while learners work; vLLM can free that of GPUs."""
    return config.placement is Placement.colocated and config.gpus_per_actor > 0


def join_group(config: ClusterConfig) -> None:
    """Joins the process group that the environment describes; a rank that waits longer than a call may fails."""
    if device(config).type == "cuda":
        torch.cuda.set_device(0)
    dist.init_process_group(
        "nccl" if device(config).type == "cuda" else "gloo",
        rank=int(os.environ["RANK"]),
        world_size=int(os.environ["WORLD_SIZE"]),
        timeout=timedelta(seconds=config.call_timeout_s),
    )
