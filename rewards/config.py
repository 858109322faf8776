"""Config of the reward: each component's weight and options, under the name its metric has."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import Enum

from rewards import (
    accuracy,
    box,
    box_penalty,
    choice,
    consistency,
    domain,
    emit,
    format,
    grounding,
    iad_r1,
    knowledge,
    overlong,
    roam,
    segmentation,
    structure,
)
from rewards.component import Component, ComponentConfig
from rewards.consistency import ConsistencyConfig
from rewards.domain import DomainConfig
from rewards.overlong import OverlongConfig
from rewards.roam import RoamConfig
from rl.config import key
from rl.faults import UserError
from rl.types import Task


class Signature(Enum):
    """How a function of the user's is called."""

    trl = "trl"
    """f(prompts, completions, **columns) -> list of numbers or None, once a batch."""
    verl = "verl"
    """f(data_source, solution_str, ground_truth, extra_info) -> number, None or a dict with "score", once an answer."""


class OnError(Enum):
    """What a component that raises does."""

    stop = "stop"
    unjudged = "unjudged"


@dataclass(kw_only=True)
class FunctionConfig:
    """A reward of the user's."""

    path: str = key("", "Dotted path of the function, e.g. my_rewards.shininess; its last part names the component.")
    weight: float = key(1.0, "Weight in the total; at 0 it is only measured.")
    signature: Signature = key(Signature.trl, "Whose reward functions it is like.")

    @property
    def name(self) -> str:
        return self.path.rpartition(".")[2]


@dataclass(kw_only=True)
class RewardConfig:
    """The table of components: each name is that of its config section and of its metric."""

    format: ComponentConfig = format.COMPONENT.field()
    accuracy: ComponentConfig = accuracy.COMPONENT.field()
    choice: ComponentConfig = choice.COMPONENT.field()
    knowledge: ComponentConfig = knowledge.COMPONENT.field()
    box: ComponentConfig = box.COMPONENT.field()
    box_penalty: ComponentConfig = box_penalty.COMPONENT.field()
    grounding: ComponentConfig = grounding.COMPONENT.field()
    consistency: ConsistencyConfig = consistency.COMPONENT.field()
    domain: DomainConfig = domain.COMPONENT.field()
    segmentation: ComponentConfig = segmentation.COMPONENT.field()
    structure: ComponentConfig = structure.COMPONENT.field()
    roam: RoamConfig = roam.COMPONENT.field()
    iad_r1: ComponentConfig = iad_r1.COMPONENT.field()
    emit: ComponentConfig = emit.COMPONENT.field()
    overlong: OverlongConfig = overlong.COMPONENT.field()
    functions: list[FunctionConfig] = key(list, "Functions of your own: [{path: my_rewards.shininess, weight: 0.5}].")
    on_error: OnError = key(OnError.stop, "A component that raises ends the run, or leaves the answer unjudged.")
    timeout_s: float = key(30.0, "Longest call of one component; what it did not judge by then stays unjudged.", gt=0)


COMPONENTS: Mapping[str, Component] = {
    item.name: item.metadata["component"] for item in fields(RewardConfig) if "component" in item.metadata
}
"""The components of the table by name."""


def components(config: RewardConfig) -> dict[str, ComponentConfig]:
    """Return the options of every component by name, whether it is computed or not."""
    return {name: getattr(config, name) for name in COMPONENTS}


def is_computed(component: ComponentConfig) -> bool:
    return component.weight is not None


def weights(config: RewardConfig) -> dict[str, float]:
    """Weight of each component that is computed, by name."""
    own = {name: component.weight for name, component in components(config).items()}
    return {name: weight for name, weight in own.items() if weight is not None} | dict(
        _weighed(function) for function in config.functions
    )


def _weighed(function: FunctionConfig) -> tuple[str, float]:
    return function.name, function.weight


def check_task(config: RewardConfig, task: Task) -> None:
    """Raises a UserError for a component that reads what answers of this task do not have."""
    for name, options in components(config).items():
        if is_computed(options) and task not in COMPONENTS[name].tasks:
            forms = " or ".join(form.name for form in COMPONENTS[name].tasks)
            raise UserError(
                f"reward.{name} judges answers of the task {forms}, not of {task.name}; choose the task, or "
                f"reward.{name}.weight=null"
            )


def check_reward(config: RewardConfig) -> None:
    """Raises a UserError for a reward that nothing could earn, or whose functions cannot be told apart."""
    for function in config.functions:
        if not all(part.isidentifier() for part in function.path.split(".")) or "." not in function.path:
            raise UserError(f"reward.functions: '{function.path}' is no dotted path; write my_rewards.shininess")
    overlong = config.overlong
    if is_computed(overlong) and overlong.buffer_tokens > overlong.max_tokens:
        raise UserError(
            f"reward.overlong.buffer_tokens={overlong.buffer_tokens} must be ≤ reward.overlong.max_tokens="
            f"{overlong.max_tokens}"
        )
    names = [item.name for item in fields(config)] + [function.name for function in config.functions]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise UserError(f"reward.functions: there is another component called {twice}; rename the function")
    if not any(weights(config).values()):
        raise UserError("reward.*.weight are all 0 or null, so no completion could earn anything; give one a weight")
