"""Config of the reward: each component's weight and options, under the name its metric has."""

from dataclasses import dataclass, fields
from enum import Enum

from rl.config import key
from rl.types import Task

WEIGHT = "Weight in the total; 0 measures without counting, null leaves the component out."


WITH_VERDICT = (Task.yes_no, Task.boxes)
WITH_OPTION = (Task.choice, Task.routed, Task.grid)
TASKS = {
    "accuracy": WITH_VERDICT,
    "choice": WITH_OPTION,
    "knowledge": (Task.routed,),
    "box": (Task.boxes,),
    "box_penalty": (Task.boxes,),
    "grounding": (Task.grounding,),
    "segmentation": (Task.grid,),
    "structure": WITH_OPTION,
    "roam": WITH_OPTION,
    "iad_r1": (Task.boxes,),
    "emit": WITH_OPTION,
}
"""Whose answers a component can read; those that are not here read any."""


class RoamMode(Enum):
    paper = "paper"
    released = "released"
    """As the authors' code has it, which gives 0.05 only for a wrong answer whose reasoning concludes nothing."""


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
class ComponentConfig:
    weight: float | None = key(None, WEIGHT)


@dataclass(kw_only=True)
class ConsistencyConfig(ComponentConfig):
    delta_high: float = key(0.3, "A defective image earns 1 when J is above this.", ge=0, le=1)
    delta_low: float = key(0.1, "A normal image earns 1 when J is below this.", ge=0, le=1)


@dataclass(kw_only=True)
class DomainConfig(ComponentConfig):
    threshold: float = key(0.5, "A lower similarity earns 0.", ge=-1, le=1)
    model: str = key("", "Folder of the sentence encoder; empty takes all-MiniLM-L6-v2 of the installed wheel.")


@dataclass(kw_only=True)
class RoamConfig(ComponentConfig):
    mode: RoamMode = key(RoamMode.paper, "The paper's cases, or those of its authors' code.")


@dataclass(kw_only=True)
class OverlongConfig(ComponentConfig):
    max_tokens: int = key(512, "From this length on the penalty is -1.", ge=1)
    buffer_tokens: int = key(128, "Tokens before that over which it grows from 0.", ge=1)


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
    format: ComponentConfig = key(ComponentConfig, "Answer in the form of its task: 1 or 0.")
    accuracy: ComponentConfig = key(ComponentConfig, "Right yes or no: 1 or 0.")
    choice: ComponentConfig = key(ComponentConfig, "Right option: 1 or 0.")
    knowledge: ComponentConfig = key(ComponentConfig, "Right piece of the knowledge offered: 1 or 0 (DCR²-AD).")
    box: ComponentConfig = key(ComponentConfig, "Mean IoU of one-to-one matched boxes, in [0, 1].")
    box_penalty: ComponentConfig = key(ComponentConfig, "-0.2 for each true box that no box meets (MMR-AD).")
    grounding: ComponentConfig = key(ComponentConfig, "IoU with the one box that was asked for, in [0, 1] (AnomalyR1).")
    consistency: ConsistencyConfig = key(ConsistencyConfig, "Attention of the reasoning in one place: 1 or 0 (CGRO).")
    domain: DomainConfig = key(DomainConfig, "Likeness of the reasoning to the expert's, in [0, 1] (JUDO).")
    segmentation: ComponentConfig = key(ComponentConfig, "F1 of the grid's cells, in [0, 1] (JUDO).")
    structure: ComponentConfig = key(ComponentConfig, "Reasoning and answer conclude what is right, in [0, 1] (JUDO).")
    roam: RoamConfig = key(RoamConfig, "Reasoning and answer together, in [0, 1] (AnomalyR1).")
    iad_r1: ComponentConfig = key(ComponentConfig, "Verdict, then type and place, in [0, 2] (IAD-R1).")
    emit: ComponentConfig = key(ComponentConfig, "1 right, 0 wrong, -1 unreadable (EMIT).")
    overlong: OverlongConfig = key(OverlongConfig, "Penalty of answers about to be cut off, in [-1, 0] (DAPO).")
    functions: list[FunctionConfig] = key(list, "Functions of your own: [{path: my_rewards.shininess, weight: 0.5}].")
    on_error: OnError = key(OnError.stop, "A component that raises ends the run, or leaves the answer unjudged.")
    timeout_s: float = key(30.0, "Longest call of one component; what it did not judge by then stays unjudged.", gt=0)


def components(config: RewardConfig) -> dict[str, ComponentConfig]:
    """Ours by name, whether they are computed or not."""
    return {
        "format": config.format,
        "accuracy": config.accuracy,
        "choice": config.choice,
        "knowledge": config.knowledge,
        "box": config.box,
        "box_penalty": config.box_penalty,
        "grounding": config.grounding,
        "consistency": config.consistency,
        "domain": config.domain,
        "segmentation": config.segmentation,
        "structure": config.structure,
        "roam": config.roam,
        "iad_r1": config.iad_r1,
        "emit": config.emit,
        "overlong": config.overlong,
    }


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
    """Raises a ValueError for a component that reads what answers of this task do not have."""
    for name, component in components(config).items():
        if is_computed(component) and task not in TASKS.get(name, Task):
            forms = " or ".join(form.name for form in TASKS[name])
            raise ValueError(
                f"reward.{name} judges answers of the task {forms}, not of {task.name}; choose the task, or "
                f"reward.{name}.weight=null"
            )


def check_reward(config: RewardConfig) -> None:
    """Raises a ValueError for a reward that nothing could earn, or whose functions cannot be told apart."""
    for function in config.functions:
        if not all(part.isidentifier() for part in function.path.split(".")) or "." not in function.path:
            raise ValueError(f"reward.functions: '{function.path}' is no dotted path; write my_rewards.shininess")
    overlong = config.overlong
    if is_computed(overlong) and overlong.buffer_tokens > overlong.max_tokens:
        raise ValueError(
            f"reward.overlong.buffer_tokens={overlong.buffer_tokens} must be ≤ reward.overlong.max_tokens="
            f"{overlong.max_tokens}"
        )
    names = [item.name for item in fields(config)] + [function.name for function in config.functions]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise ValueError(f"reward.functions: there is another component called {twice}; rename the function")
    if not any(weights(config).values()):
        raise ValueError("reward.*.weight are all 0 or null, so no completion could earn anything; give one a weight")
