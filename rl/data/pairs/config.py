"""Config of the pairs of trajectories that preferences are learnt from."""

from dataclasses import dataclass
from enum import Enum

from rl.config import key
from rl.data.config import Choice


class PairTeacherKind(Enum):
    """Who writes trajectories to order."""

    template = "template"
    """Nobody: their words stand ready, and the knowledge fills them."""
    policy = "policy"
    """The model itself, told the hint."""
    endpoint = "endpoint"
    """The model at rollout.teacher.url, told the hint."""


@dataclass(kw_only=True)
class RoutingConfig:
    """Boundary selection and KR-RTS (DCR²-AD); what the paper leaves open is marked (ours)."""

    teacher: PairTeacherKind = key(
        PairTeacherKind.template,
        "Who writes trajectories: templates, the model itself, or the endpoint of rollout.teacher.",
    )
    wrong: Choice = key(
        Choice.deceptive, "Wrong knowledge of a pair: of the wrong entries offered the nearest in meaning, or any."
    )
    attempts: int = key(3, "Texts that are asked for before a trajectory, and its sample, is given up (ours).", ge=1)
    margin: float = key(
        0.1, "Keep samples whose p(right option) is so near to chance; 1 keeps all and asks no model.", ge=0, le=1
    )
    num_answers: int = key(
        8,
        "Answers over which p(right option) is averaged: 1 takes the likeliest tokens, more are sampled (ours).",
        ge=1,
    )
    batch: int = key(64, "Samples that are worked on at once; a run that goes on begins with a whole batch.", ge=1)


def selects(config: RoutingConfig) -> bool:
    """Whether a model is asked how likely the right options are."""
    return config.margin < 1


def asks_engines(config: RoutingConfig) -> bool:
    """Whether the model itself has anything to do."""
    return selects(config) or config.teacher is PairTeacherKind.policy
