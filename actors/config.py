"""Config of the models and of the actors that hold them; imports neither ray nor vllm."""

from dataclasses import dataclass
from enum import Enum

from rl.algorithm import AlgoConfig
from rl.config import key
from rl.recipe import RECIPES


class Precision(Enum):
    fp32 = "float32"
    bf16 = "bfloat16"


class ReferenceKind(Enum):
    """Who knows the log-probs of the policy that a run starts from."""

    actor = "actor"
    """An actor that holds a frozen copy."""
    adapter_off = "adapter_off"
    """The learners, without their adapter."""
    cached = "cached"
    """Files, for answers that are taught; an actor as long as some are missing there."""


class Placement(Enum):
    """Which actors meet on which machines."""

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
    path: str = key("", "Folder or hub id of a Qwen2.5-VL checkpoint with its processor.")
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
    micro_batch_tokens: int = key(8192, "Most tokens of one forward pass of a learner; a whole group fits.", ge=1)
    reference: ReferenceKind = key(
        ReferenceKind.actor,
        "Who knows reference log-probs: an actor, the learners with LoRA off, or files, of answers that are taught.",
    )
    reference_cache: str = key(
        "runs/reference_cache", "Folder in which reference=cached keeps them, by model and answer."
    )
    placement: Placement = key(
        Placement.packed,
        "Who shares machines: packed fills them, apart keeps the kinds of actors on machines of their own, colocated "
        "has engine i share the GPUs of learner i and sleep while that learns.",
    )
    address: str = key("", "Ray address to join; empty joins that of RAY_ADDRESS or else starts Ray on this machine.")
    gpus_per_actor: float = key(
        0.0, "GPUs of each learner, rollout worker and reference, or of those that are colocated; 0 runs on CPUs.", ge=0
    )
    cpus_per_actor: float = key(1.0, "CPUs of each rollout worker, learner and reference.", gt=0)
    cpus_per_reward_worker: float = key(1.0, "CPUs of each reward worker.", gt=0)
    threads_per_actor: int = key(1, "Compute threads of each of these actors.", ge=1)
    start_timeout_s: float = key(300.0, "Longest wait for room in the cluster, and then for an actor to start.", gt=0)
    call_timeout_s: float = key(600.0, "Longest wait for any call on an actor.", gt=0)


def needs_reference(algo: AlgoConfig, cluster: ClusterConfig) -> bool:
    """Whether a frozen copy of the starting policy runs beside the learners."""
    return RECIPES[algo.objective].needs_reference(algo) and cluster.reference is not ReferenceKind.adapter_off


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How the engine samples, which the learner's log-probs must follow."""

    temperature: float
    banned_token_ids: tuple[int, ...]
    max_response_tokens: int
