"""Imports one heavy package and prints facts about it as JSON: `python -m launch.doctor.probes Torch`.

`assay doctor` runs it in a process of its own, because an import can crash or stand still.
"""

import json
import os
import re
import sys
from collections.abc import Callable
from dataclasses import asdict
from importlib.metadata import requires, version

from launch.doctor.facts import Broken, Ray, Torch, Vision, Vllm, Wandb
from rl.faults import named

RAY_ANSWERS_S = 60.0


def torch_facts() -> Torch:
    import torch

    return Torch(version=torch.__version__, cuda=torch.version.cuda, num_gpus=torch.cuda.device_count())


def vision_facts() -> Vision:
    import rl.import_fixes  # noqa: F401, I001

    import torchvision

    pins = [re.match(r"torch *\(?==([\d.]+)", each) for each in requires("torchvision") or []]
    return Vision(version=torchvision.__version__, torch=next((pin[1] for pin in pins if pin), ""))


def vllm_facts() -> Vllm:
    """Import what an engine imports."""
    import rollout.engine  # noqa: F401

    return Vllm(version=sys.modules["vllm"].__version__)


def ray_facts() -> Ray:
    """Start Ray as a run would, or join the cluster of RAY_ADDRESS, and wait for a task."""
    import ray

    address = os.environ.get("RAY_ADDRESS", "")
    options = {"address": address} if address else {"address": "local", "num_cpus": 1, "include_dashboard": False}
    ray.init(**options, log_to_driver=False, logging_level="error")
    try:
        found = ray.get(ray.remote(_version_there).remote(), timeout=RAY_ANSWERS_S)
    finally:
        ray.shutdown()
    return Ray(version=found)


def _version_there() -> str:
    return version("ray")


def wandb_facts() -> Wandb:
    from launch.run.wandb_run import chosen_mode
    from rl.evaluation.config import WandbMode

    return Wandb(version=version("wandb"), mode=chosen_mode(WandbMode.auto))


PROBES: dict[str, Callable[[], Torch | Vision | Vllm | Ray | Wandb]] = {
    "Torch": torch_facts,
    "Vision": vision_facts,
    "Vllm": vllm_facts,
    "Ray": ray_facts,
    "Wandb": wandb_facts,
}


def main(name: str) -> None:
    """Print the facts, or the reason why there are none."""
    try:
        told = asdict(PROBES[name]())
    except Exception as error:  # noqa: BLE001 - whatever a broken package raises becomes a line of the doctor
        told = asdict(Broken(reason=named(error)))
    print(json.dumps(told))


if __name__ == "__main__":
    main(sys.argv[1])
