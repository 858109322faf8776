"""Config of the pairs of trajectories from which preferences are learnt."""

from dataclasses import dataclass
from enum import Enum

from rl.config import key
from rl.data.config import Choice


class PairTeacherKind(Enum):
    """The writer of trajectories."""

    template = "template"
    """Fixed sentences, filled with the knowledge; no model."""
    policy = "policy"
    """The model itself, given the hint."""
    endpoint = "endpoint"
    """The model at rollout.teacher.url, given the hint."""


@dataclass(kw_only=True)
class RoutingConfig:
    """Boundary selection and KR-RTS (DCR²-AD); choices that the paper leaves open are marked (ours)."""

    teacher: PairTeacherKind = key(
        PairTeacherKind.template,
        "Writer of the trajectories: templates, the model itself, or the endpoint of rollout.teacher.",
    )
    wrong: Choice = key(
        Choice.deceptive,
        "Wrong knowledge of a pair: the nearest in meaning of those offered, or any of them.",
    )
    attempts: int = key(3, "Attempts at a trajectory before its sample is given up (ours).", ge=1)
    margin: float = key(
        0.1, "Keep samples whose p(right option) is this close to chance; 1 keeps all and asks no model.", ge=0, le=1
    )
    num_answers: int = key(
        8,
        "Answers over which p(right option) is averaged: a single one is greedy, several are sampled (ours).",
        ge=1,
    )
    batch: int = key(64, "Samples worked on at once; a resumed run repeats the batch that it was stopped in.", ge=1)


def selects(config: RoutingConfig) -> bool:
    """Return True if a model is asked how likely the right options are."""
    return config.margin < 1


def asks_engines(config: RoutingConfig) -> bool:
    """Return True if the model itself selects samples or writes trajectories."""
    return selects(config) or config.teacher is PairTeacherKind.policy
