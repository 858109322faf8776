"""The rewards of the papers, by the names of `reward=…`, each with the form of answer that it reads."""

from dataclasses import dataclass

from rewards.component import ComponentConfig
from rewards.config import RewardConfig
from rewards.consistency import ConsistencyConfig
from rewards.domain import DomainConfig
from rewards.roam import RoamConfig, RoamMode
from rl.faults import UserError
from rl.types import Task


@dataclass(frozen=True, kw_only=True)
class Preset:
    task: Task
    """The form of answer that the paper asks for."""
    config: RewardConfig


def _counts() -> ComponentConfig:
    return ComponentConfig(weight=1.0)


def _measured() -> ComponentConfig:
    return ComponentConfig(weight=0.0)


PRESETS = {
    # Form and yes or no, for data that does not say where the defects are.
    "yes_no": Preset(task=Task.boxes, config=RewardConfig(format=_counts(), accuracy=_counts(), box=_measured())),
    # Form, yes or no, and where.
    "yes_no_boxes": Preset(task=Task.boxes, config=RewardConfig(format=_counts(), accuracy=_counts(), box=_counts())),
    "mmr_ad": Preset(
        task=Task.boxes, config=RewardConfig(format=_measured(), accuracy=_counts(), box_penalty=_counts())
    ),
    "roam": Preset(
        task=Task.choice, config=RewardConfig(format=_measured(), choice=_measured(), roam=RoamConfig(weight=1.0))
    ),
    # The authors' code adds the right choice once more.
    "roam_released": Preset(
        task=Task.choice,
        config=RewardConfig(format=_measured(), choice=_counts(), roam=RoamConfig(weight=1.0, mode=RoamMode.released)),
    ),
    "roam_grounding": Preset(task=Task.grounding, config=RewardConfig(format=_counts(), grounding=_counts())),
    # What the paper's ablation by GRPO counts; the knowledge that is chosen shows beside it.
    "dcr2ad": Preset(task=Task.routed, config=RewardConfig(format=_counts(), choice=_counts(), knowledge=_measured())),
    "judo": Preset(
        task=Task.grid,
        config=RewardConfig(
            format=_counts(),
            choice=_counts(),
            domain=DomainConfig(weight=1.0),
            segmentation=_counts(),
            structure=_counts(),
        ),
    ),
    "cgro": Preset(
        task=Task.yes_no,
        config=RewardConfig(format=_counts(), accuracy=_counts(), consistency=ConsistencyConfig(weight=1.0)),
    ),
    "iad_r1": Preset(task=Task.boxes, config=RewardConfig(format=_counts(), accuracy=_measured(), iad_r1=_counts())),
    "emit": Preset(task=Task.choice, config=RewardConfig(format=_counts(), choice=_measured(), emit=_counts())),
}


def preset(name: str) -> Preset:
    """The reward of that name; a UserError names them all when there is none."""
    if name not in PRESETS:
        raise UserError(f"there is no reward preset '{name}'; there are {', '.join(PRESETS)}")
    return PRESETS[name]
