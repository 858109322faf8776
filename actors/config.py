"""Config of models and actors; imports neither ray nor vllm."""

import re
from dataclasses import dataclass
from enum import Enum

from rl.algorithm import AlgoConfig
from rl.config import key
from rl.faults import UserError
from rl.recipe import RECIPES


class Precision(Enum):
    fp32 = "float32"
    bf16 = "bfloat16"


class ReferenceKind(Enum):
    """Source of the reference log-probs: those of the policy that a run starts from."""

    actor = "actor"
    """An actor that holds a frozen copy."""
    adapter_off = "adapter_off"
    """The learners, without their adapter."""
    cached = "cached"
    """Files, for lessons; an actor computes the missing ones."""


class Placement(Enum):
    """Rule by which actors share machines."""

    packed = "packed"
    """As few machines as possible."""
    apart = "apart"
    """No machine holds two kinds of actors."""
    colocated = "colocated"
    """Engine i shares the GPUs of learner i and sleeps while that learns; so does the reference, with learner 0."""


@dataclass(kw_only=True)
class LoraConfig:
    rank: int = key(0, "LoRA rank; 0 trains the full weights.", ge=0)
    alpha: int = key(16, "LoRA alpha: the adapter is scaled by alpha / rank.", ge=1)
    dropout: float = key(0.0, "LoRA dropout.", ge=0, le=1)


@dataclass(kw_only=True)
class ModelConfig:
    path: str = key(
        "", "Folder or hub id of a model with its processor, e.g. Qwen/Qwen2.5-VL-7B-Instruct; or a run, a checkpoint."
    )
    precision: Precision = key(Precision.bf16, "Number type of weights and activations.")
    lora: LoraConfig = key(LoraConfig, "Low-rank adapters on the language model.")
    freeze_vision: bool = key(True, "Keep the vision tower's blocks fixed.")
    freeze_projector: bool = key(True, "Keep the vision-to-language merger fixed.")
    gradient_checkpointing: bool = key(False, "Recompute activations in the backward pass to save memory.")


@dataclass(kw_only=True)
class ClusterConfig:
    num_learners: int = key(1, "FSDP ranks of the learner group.", ge=1)
    num_rollout_workers: int = key(1, "vLLM engines.", ge=1)
    num_reward_workers: int = key(1, "CPU processes that score.", ge=1)
    micro_batch_tokens: int = key(8192, "Maximum tokens per learner forward pass; a whole group must fit.", ge=1)
    reference: ReferenceKind = key(
        ReferenceKind.actor,
        "Source of reference log-probs: an actor, the learners with LoRA off, or files (for lessons).",
    )
    reference_cache: str = key(
        "runs/reference_cache", "Folder of the log-probs of reference=cached, by model and answer."
    )
    placement: Placement = key(
        Placement.packed,
        "Sharing of machines: packed fills them, apart gives each kind of actor its own, colocated lets engine i share "
        "the GPUs of learner i and sleep while the learner works.",
    )
    address: str = key("", "Ray address to join; empty joins RAY_ADDRESS, or starts Ray here if that is not set.")
    gpus_per_actor: float = key(
        0.0, "GPUs of each learner, rollout worker and reference, shared by colocated ones; 0 runs on CPUs.", ge=0
    )
    cpus_per_actor: float = key(1.0, "CPUs of each rollout worker, learner and reference.", gt=0)
    cpus_per_reward_worker: float = key(1.0, "CPUs of each reward worker.", gt=0)
    threads_per_actor: int = key(1, "Compute threads of each learner, rollout worker and reference.", ge=1)
    start_timeout_s: float = key(300.0, "Longest wait for room in the cluster, and then for an actor to start.", gt=0)
    call_timeout_s: float = key(600.0, "Longest wait for any call on an actor.", gt=0)


@dataclass(kw_only=True)
class ProfileConfig:
    steps: str = key(
        "",
        "Training steps, FIRST..LAST or one, of which a torch profile of each learner is written to profile/ of the "
        "run folder; empty writes none.",
    )


def profiled_steps(config: ProfileConfig, num_steps: int) -> range:
    """Return the steps to profile, counted from 1; raise a UserError if they are no steps of the run."""
    if not config.steps:
        return range(0)
    ends = re.fullmatch(r"(\d+)(?:\.\.(\d+))?", config.steps)
    if not ends:
        raise UserError(f"profile.steps={config.steps} must be FIRST..LAST or one step, e.g. profile.steps=3..5")
    first, last = int(ends[1]), int(ends[2] or ends[1])
    if not 1 <= first <= last <= num_steps:
        raise UserError(
            f"profile.steps={config.steps} must lie within the run's steps, 1..{num_steps}, the first before the last"
        )
    return range(first, last + 1)


def needs_reference(algo: AlgoConfig, cluster: ClusterConfig) -> bool:
    """Return True if a frozen copy of the starting policy runs beside the learners."""
    return RECIPES[algo.objective].needs_reference(algo) and cluster.reference is not ReferenceKind.adapter_off
