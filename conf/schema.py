"""Config of each verb, assembled of the dataclasses of its parts; a verb's file in conf/ begins with <verb>_schema."""

from dataclasses import dataclass
from typing import Any

from actors.config import ClusterConfig, ModelConfig, ProfileConfig
from rewards.config import RewardConfig
from rl.algorithm import AlgoConfig
from rl.checkpoints import CheckpointConfig
from rl.config import key
from rl.data.config import DataConfig
from rl.data.pairs.config import RoutingConfig
from rl.evaluation.config import LoggingConfig
from rl.types import Task
from rollout.config import LocalizeConfig, RolloutConfig


@dataclass(kw_only=True)
class TrainConfig:
    """Config of `assay train`; a section is also the name of its config group."""

    num_steps: int = key(100, "Training steps: batches to learn from.", ge=1)
    num_epochs: float = key(0.0, "Times that every training sample is seen; 0 takes num_steps instead.", ge=0)
    seed: int = key(0, "Seed of the data split, the sampling and the training.", ge=0)
    output: str = key("", "Run folder; each job of a sweep gets a numbered folder in it.")
    resume: str = key(
        "",
        "auto: continue the newest whole checkpoint of output, if any; PATH: continue that checkpoint; empty: start "
        "anew.",
    )
    stages: dict[str, Any] = key(
        dict, "Runs in a chain by name, each with the keys that differ in it; a stage starts from the last one's model."
    )
    eval_every: int = key(
        0, "Steps between evaluations of the held-out samples; 0 evaluates only before and after training.", ge=0
    )
    model: ModelConfig = key(ModelConfig, "The model that is trained.")
    data: DataConfig = key(DataConfig, "The samples that it learns from and is judged on.")
    reward: RewardConfig = key(RewardConfig, "The components of the reward and their weights.")
    algo: AlgoConfig = key(AlgoConfig, "The objective and its optimizer.")
    rollout: RolloutConfig = key(RolloutConfig, "Sampling and the engine.")
    localize: LocalizeConfig = key(LocalizeConfig, "Where the policy looks (ReAL), for reward.consistency.")
    cluster: ClusterConfig = key(ClusterConfig, "The actors and what they occupy.")
    checkpoint: CheckpointConfig = key(CheckpointConfig, "When checkpoints are written and which are kept.")
    logging: LoggingConfig = key(LoggingConfig, "What is recorded and shown.")
    profile: ProfileConfig = key(ProfileConfig, "Where the learners spend their time.")


@dataclass(kw_only=True)
class CompareConfig:
    """Config of `assay compare`."""

    runs: list[str] = key(
        list, "Run folders; that of a sweep stands for its members. Differences are those from the first run."
    )
    output: str = key("", "Folder to write: compare.html, and its tables as CSV and Markdown.")


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


@dataclass(kw_only=True)
class PredictConfig:
    """Config of `assay predict`."""

    input: str = key("", "Folder of images, searched at every depth; or images, with commas between.")
    reference: str = key(
        "",
        "Normal image to compare with: one for all, or a folder that has one of the same name for each; empty shows "
        "none.",
    )
    masks: str = key(
        "",
        "Folder of masks named like their images, with or without _mask, to measure answers and maps by; an image "
        "without a mask counts as free of defects.",
    )
    output: str = key("", "Run folder: predictions.jsonl, maps/ and predictions.html.")
    heat_top: float = key(
        4.0, "End of the maps' colours: attention in multiples of the same amount spread evenly over the image.", gt=1
    )
    batch: int = key(64, "Images that are answered at once; while the next ones are, these are looked at.", ge=1)
    model: ModelConfig = key(ModelConfig, "The model that inspects.")
    data: DataConfig = key(DataConfig, "What is asked of each image.")
    rollout: RolloutConfig = key(RolloutConfig, "The engine; answers are made of the likeliest tokens.")
    localize: LocalizeConfig = key(LocalizeConfig, "How maps are made of where the model looks (ReAL).")
    cluster: ClusterConfig = key(ClusterConfig, "The engines, a frozen model beside them, and what they occupy.")


@dataclass(kw_only=True)
class PairsConfig:
    """Config of `assay pairs`."""

    seed: int = key(0, "Seed of the data split, which is that of `assay train`, of the answers and of the texts.", ge=0)
    output: str = key("", "Folder of pairs.jsonl and report.html; a folder with unfinished pairs is continued.")
    pairs: RoutingConfig = key(RoutingConfig, "Which samples become pairs, and who writes them (DCR²-AD).")
    model: ModelConfig = key(ModelConfig, "The model whose doubts select, and that may write.")
    data: DataConfig = key(DataConfig, "The samples, as `assay train` reads them, with the knowledge that they offer.")
    rollout: RolloutConfig = key(RolloutConfig, "Sampling and the engine; the endpoint that may write.")
    cluster: ClusterConfig = key(ClusterConfig, "The engines and what they occupy.")


NO_LEARNING, NO_SPLIT, NO_SCORING = "nothing is learned", "every image of input is inspected", "nothing is scored"
LIKELIEST = "answers are made of the likeliest tokens"
UNREAD_BY_PREDICT = {
    "data.root": NO_SPLIT,
    "data.heldout_share": NO_SPLIT,
    "data.num_heldout": NO_SPLIT,
    "data.lessons": NO_LEARNING,
    "data.with_reference": "reference names the image to compare with, if any",
    "model.lora": NO_LEARNING,
    "model.freeze_vision": NO_LEARNING,
    "model.freeze_projector": NO_LEARNING,
    "model.gradient_checkpointing": NO_LEARNING,
    "rollout.temperature": LIKELIEST,
    "rollout.top_p": LIKELIEST,
    "rollout.top_k": LIKELIEST,
    "rollout.min_p": LIKELIEST,
    "rollout.teacher": NO_LEARNING,
    "cluster.num_learners": NO_LEARNING,
    "cluster.reference": NO_LEARNING,
    "cluster.reference_cache": NO_LEARNING,
    "cluster.num_reward_workers": NO_SCORING,
    "cluster.cpus_per_reward_worker": NO_SCORING,
}
"""Keys and sections of PredictConfig that only a training has a use for, each with the reason."""
UNREAD_BY_PAIRS = {
    "data.lessons": "pairs become lessons",
    "data.num_heldout": "pairs are made of training samples",
    "data.anomaly_words": "nobody asks where the model looks",
    "model.lora": NO_LEARNING,
    "model.freeze_vision": NO_LEARNING,
    "model.freeze_projector": NO_LEARNING,
    "model.gradient_checkpointing": NO_LEARNING,
    "rollout.teacher.kind": "pairs.teacher says who writes",
    "cluster.num_learners": NO_LEARNING,
    "cluster.micro_batch_tokens": NO_LEARNING,
    "cluster.reference": NO_LEARNING,
    "cluster.reference_cache": NO_LEARNING,
    "cluster.num_reward_workers": NO_SCORING,
    "cluster.cpus_per_reward_worker": NO_SCORING,
}
"""Keys and sections of PairsConfig that only a training has a use for, each with the reason."""
