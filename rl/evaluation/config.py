"""Config of a run's records."""

from dataclasses import dataclass
from enum import Enum

from rl.config import key


class Backend(Enum):
    """Place where metrics are recorded, beside the run folder's own files."""

    wandb = "wandb"
    tensorboard = "tensorboard"


class WandbMode(Enum):
    auto = "auto"
    online = "online"
    offline = "offline"
    disabled = "disabled"


@dataclass(kw_only=True)
class LoggingConfig:
    backends: list[Backend] = key(
        (Backend.wandb,),
        "Where metrics are recorded beside metrics.jsonl: wandb, tensorboard (event files in the run folder), or both.",
    )
    wandb: WandbMode = key(WandbMode.auto, "W&B mode; auto is online if a W&B API key is configured, else offline.")
    project: str = key("assay", "W&B project.")
    run_name: str = key("", "Name of the run in W&B; empty for its experiment and overrides.")
    group: str = key("", "W&B group; the members of a sweep share the sweep's name.")
    rank_by: str = key(
        "reward_last",
        "Entry of summary.json that ranks a sweep's members, e.g. heldout_after.accuracy; higher is better.",
    )
    samples_every: int = key(10, "Steps between tables of samples with their images and boxes; 0 writes none.", ge=0)
