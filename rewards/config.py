"""Config of the reward: each component's weight and options, under the name its metric has."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import Enum

import rewards.accuracy
import rewards.box
import rewards.box_penalty
import rewards.choice
import rewards.consistency
import rewards.domain
import rewards.emit
import rewards.format
import rewards.grounding
import rewards.iad_r1
import rewards.knowledge
import rewards.overlong
import rewards.roam
import rewards.segmentation
import rewards.structure
from rewards.component import BatchComponent, ComponentConfig
from rl.config import key
from rl.faults import UserError


class Signature(Enum):
    """Call signature of a function of the user's."""

    trl = "trl"
    """f(prompts, completions, **columns) -> list of numbers or None, per batch."""
    verl = "verl"
    """f(data_source, solution_str, ground_truth, extra_info) -> number, None or a dict with "score", per answer."""


class OnError(Enum):
    """Consequence of a component that raises."""

    stop = "stop"
    unjudged = "unjudged"


@dataclass(kw_only=True)
class FunctionConfig:
    """A reward of the user's."""

    path: str = key("", "Dotted path of the function, e.g. my_rewards.shininess; its last part names the component.")
    weight: float = key(1.0, "Weight in the total; 0 only measures it.")
    signature: Signature = key(Signature.trl, "Signature of the function: that of TRL's or of verl's reward functions.")

    @property
    def name(self) -> str:
        return self.path.rpartition(".")[2]


@dataclass(kw_only=True)
class RewardConfig:
    """The table of components; a field's name is also that of its config section and its metric."""

    format: ComponentConfig = rewards.format.COMPONENT.field()
    accuracy: ComponentConfig = rewards.accuracy.COMPONENT.field()
    choice: ComponentConfig = rewards.choice.COMPONENT.field()
    knowledge: ComponentConfig = rewards.knowledge.COMPONENT.field()
    box: ComponentConfig = rewards.box.COMPONENT.field()
    box_penalty: ComponentConfig = rewards.box_penalty.COMPONENT.field()
    grounding: ComponentConfig = rewards.grounding.COMPONENT.field()
    consistency: rewards.consistency.ConsistencyConfig = rewards.consistency.COMPONENT.field()
    domain: rewards.domain.DomainConfig = rewards.domain.COMPONENT.field()
    segmentation: ComponentConfig = rewards.segmentation.COMPONENT.field()
    structure: ComponentConfig = rewards.structure.COMPONENT.field()
    roam: rewards.roam.RoamConfig = rewards.roam.COMPONENT.field()
    iad_r1: ComponentConfig = rewards.iad_r1.COMPONENT.field()
    emit: ComponentConfig = rewards.emit.COMPONENT.field()
    overlong: rewards.overlong.OverlongConfig = rewards.overlong.COMPONENT.field()
    functions: list[FunctionConfig] = key(list, "Functions of your own: [{path: my_rewards.shininess, weight: 0.5}].")
    on_error: OnError = key(OnError.stop, "If a component raises, stop the run, or leave the answer unjudged.")
    timeout_s: float = key(
        30.0, "Longest call of a function of your own; answers that take longer stay unjudged.", gt=0
    )
    memory_mb: int = key(
        8192, "Memory of the process of your own functions; answers that take more stay unjudged.", ge=64
    )


COMPONENTS: Mapping[str, BatchComponent] = {
    item.name: item.metadata["component"] for item in fields(RewardConfig) if "component" in item.metadata
}
"""Components of the table by name."""


def components(config: RewardConfig) -> dict[str, ComponentConfig]:
    """Return the options of every component by name, computed or not."""
    return {name: getattr(config, name) for name in COMPONENTS}


def is_computed(component: ComponentConfig) -> bool:
    return component.weight is not None


def weights(config: RewardConfig) -> dict[str, float]:
    """Return the weight of each component that is computed, by name."""
    own = {name: component.weight for name, component in components(config).items()}
    return {name: weight for name, weight in own.items() if weight is not None} | dict(
        _weighed(function) for function in config.functions
    )


def _weighed(function: FunctionConfig) -> tuple[str, float]:
    return function.name, function.weight


def check_reward(config: RewardConfig) -> None:
    """Raise a UserError for a reward that no answer could earn, or whose functions have the same name."""
    for function in config.functions:
        if not all(part.isidentifier() for part in function.path.split(".")) or "." not in function.path:
            raise UserError(
                f"reward.functions: '{function.path}' is no dotted path; put the name of its file before it, e.g. "
                f"my_rewards.{function.path} for a function in my_rewards.py"
            )
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
