"""The papers' rewards, by their names in `reward=…`, each with the task whose answers it judges."""

from dataclasses import dataclass

from rewards.component import ComponentConfig
from rewards.config import COMPONENTS, RewardConfig, components, is_computed
from rewards.consistency import ConsistencyConfig
from rewards.domain import DomainConfig
from rewards.roam import RoamConfig, RoamMode
from rl.faults import UserError
from rl.types import Task


@dataclass(frozen=True, kw_only=True)
class Preset:
    task: Task
    """Task whose answers the paper rewards."""
    config: RewardConfig


def _counts() -> ComponentConfig:
    return ComponentConfig(weight=1.0)


def _measured() -> ComponentConfig:
    return ComponentConfig(weight=0.0)


PRESETS = {
    # Form and verdict, for data without boxes and for both tasks with a verdict.
    "yes_no": Preset(task=Task.boxes, config=RewardConfig(format=_counts(), accuracy=_counts())),
    # Form, verdict and boxes.
    "yes_no_boxes": Preset(task=Task.boxes, config=RewardConfig(format=_counts(), accuracy=_counts(), box=_counts())),
    "mmr_ad": Preset(
        task=Task.boxes, config=RewardConfig(format=_measured(), accuracy=_counts(), box_penalty=_counts())
    ),
    "roam": Preset(
        task=Task.choice, config=RewardConfig(format=_measured(), choice=_measured(), roam=RoamConfig(weight=1.0))
    ),
    # The authors' code adds the reward of the right choice.
    "roam_released": Preset(
        task=Task.choice,
        config=RewardConfig(format=_measured(), choice=_counts(), roam=RoamConfig(weight=1.0, mode=RoamMode.released)),
    ),
    "roam_grounding": Preset(task=Task.grounding, config=RewardConfig(format=_counts(), grounding=_counts())),
    # The components of the paper's ablation by GRPO; the choice of knowledge is only measured.
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
    """Return the preset of that name, or raise a UserError that lists the names."""
    if name not in PRESETS:
        raise UserError(f"there is no reward preset '{name}'; there are {', '.join(PRESETS)}")
    return PRESETS[name]


def task_of(name: str) -> Task:
    """Return the task whose answers a reward judges if no other is given; boxes for a reward of the user's."""
    return PRESETS[name].task if name in PRESETS else Task.boxes


def check_task(config: RewardConfig, task: Task, key: str) -> None:
    """Raise a UserError for a component that cannot read the answers of this task; `key` is the task's config key."""
    for name in _computed(config):
        if task not in COMPONENTS[name].tasks:
            forms = [f"{key}={form.name}" for form in tasks_of(config)]
            others = [preset for preset in PRESETS if task in tasks_of(PRESETS[preset].config)]
            raise UserError(
                f"{key}={task.name} asks for answers that reward.{name} cannot judge; choose "
                f"{', '.join([*forms, f'reward.{name}.weight=null'])}, or a reward for {task.name}: "
                f"reward={', '.join(others)}"
            )


def tasks_of(config: RewardConfig) -> list[Task]:
    """Return the tasks whose answers all computed components can judge."""
    return [task for task in Task if all(task in COMPONENTS[name].tasks for name in _computed(config))]


def _computed(config: RewardConfig) -> list[str]:
    return [name for name, options in components(config).items() if is_computed(options)]
