"""What each verb's config holds: the dataclasses of the parts, assembled and registered with Hydra."""

from dataclasses import dataclass

from hydra.core.config_store import ConfigStore

from actors.config import ClusterConfig, ModelConfig
from rewards.config import RewardConfig
from rewards.presets import PRESETS
from rl.algorithm import AlgoConfig
from rl.checkpoints import CheckpointConfig
from rl.config import key
from rl.data.config import DataConfig
from rl.evaluation.config import LoggingConfig
from rl.types import Task
from rollout.config import RolloutConfig


@dataclass(kw_only=True)
class TrainConfig:
    """Config of `assay train`; a section is also the name of its config group."""

    num_steps: int = key(100, "Training steps: rollout batches to learn from.", ge=1)
    seed: int = key(0, "Seed of the data split, the sampling and the training.", ge=0)
    output: str = key("", "Run folder; each job of a sweep gets a numbered folder in it.")
    resume: str = key(
        "", "auto goes on from the newest whole checkpoint of output, if any; a path from that one; empty starts anew."
    )
    eval_every: int = key(0, "Evaluate the held-out samples every so many steps; 0 only before and after.", ge=0)
    model: ModelConfig = key(ModelConfig, "The model that is trained.")
    data: DataConfig = key(DataConfig, "The samples that it learns from and is judged on.")
    reward: RewardConfig = key(RewardConfig, "The components of the reward and their weights.")
    algo: AlgoConfig = key(AlgoConfig, "GRPO and its optimizer.")
    rollout: RolloutConfig = key(RolloutConfig, "Sampling and the engine.")
    cluster: ClusterConfig = key(ClusterConfig, "The actors and what they occupy.")
    checkpoint: CheckpointConfig = key(CheckpointConfig, "When checkpoints are written and which are kept.")
    logging: LoggingConfig = key(LoggingConfig, "What is recorded and shown.")


@dataclass(kw_only=True)
class DemoDataConfig:
    """Config of `assay data`."""

    output: str = key("data/demo", "Folder to write, in MVTec-AD layout.")
    seed: int = key(0, "Seed of the generator.", ge=0)
    num_parts: int = key(300, "Parts of each material; every second one has a defect.", ge=2)


@dataclass(kw_only=True)
class ExportConfig:
    """Config of `assay export`."""

    checkpoint: str = key("", "A run folder, whose newest whole checkpoint is taken, or one of its checkpoints/step_N.")
    output: str = key("", "Folder to write: weights with adapters merged in, tokenizer, processor and model card.")


@dataclass(kw_only=True)
class ScoreConfig:
    """Config of `assay score`."""

    input: str = key(
        "", 'File of answers, one JSON object a line: {"id", "completion", "target"}; - is standard input.'
    )
    output: str = key("-", "File of scores, in the order of the answers; - is standard output.")
    task: Task = key(Task.boxes, "Form of the answers whose line names no task; by default that of the reward's paper.")
    explain: bool = key(False, "Show for each answer what was read of it and what each component gave.")
    reward: RewardConfig = key(RewardConfig, "The components of the reward and their weights.")


STORE = ConfigStore.instance()
STORE.store(name="export_schema", node=ExportConfig)
STORE.store(name="train_schema", node=TrainConfig)
STORE.store(name="data_schema", node=DemoDataConfig)
STORE.store(name="score_schema", node=ScoreConfig)
for name, preset in PRESETS.items():
    STORE.store(group="reward", name=name, node=preset.config)
