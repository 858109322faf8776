"""The options with which actors start."""

from dataclasses import dataclass

from actors.config import ClusterConfig, ModelConfig
from rl.algorithm import AlgoConfig
from rl.data.config import DataConfig
from rl.truncation import KEEPS_ALL, Truncation
from rollout.config import RolloutConfig


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """Options of sampling that the learner's log-probs must follow."""

    temperature: float
    banned_token_ids: tuple[int, ...]
    max_response_tokens: int
    truncation: Truncation = KEEPS_ALL


@dataclass(frozen=True, kw_only=True)
class Rank:
    """The place of a process in a torch.distributed group."""

    number: int
    count: int
    address: str
    """host:port of the store at which the ranks meet."""


@dataclass(frozen=True, kw_only=True)
class ProfilePlan:
    """Training steps that are profiled, counted from 1, and the folder of the traces."""

    steps: range
    folder: str


@dataclass(frozen=True, kw_only=True)
class LearnerSetup:
    """Options of a Learner."""

    model: ModelConfig
    algo: AlgoConfig
    cluster: ClusterConfig
    sampling: Sampling
    num_updates: int
    """Optimizer steps of the whole run, for the learning rate schedule."""
    seed: int
    profile: ProfilePlan | None = None


@dataclass(frozen=True, kw_only=True)
class FrozenSetup:
    """Options of a ReferencePolicy."""

    model: ModelConfig
    cluster: ClusterConfig
    sampling: Sampling


@dataclass(frozen=True, kw_only=True)
class EngineSetup:
    """Options of a RolloutWorker."""

    model: ModelConfig
    data: DataConfig
    rollout: RolloutConfig
    seed: int
    sleeps: bool = False
    """True if the engine gives its GPU memory away while learners work."""
