"""Config of the data that a run reads."""

from dataclasses import dataclass
from enum import Enum

from rl.config import key
from rl.types import Task


class Instructions(Enum):
    """What stands around the question."""

    paper = "paper"
    """The words in which the task's paper asks for the form of the answer."""
    none = "none"
    """Nothing, for a model that knows the form."""


class Choice(Enum):
    """Which wrong knowledge stands beside the right one."""

    deceptive = "deceptive"
    """The nearest in meaning."""
    uniform = "uniform"


@dataclass(kw_only=True)
class KnowledgeConfig:
    """What experts know, offered with each question (DCR²-AD)."""

    file: str = key(
        "", "MMAD's domain_knowledge.json or a YAML of dataset, object, defect and text; empty offers none."
    )
    num_wrong: int = key(3, "Entries that are wrong for a sample, beside the one that is right.", ge=1)
    wrong: Choice = key(Choice.deceptive, "Wrong entries are the nearest in meaning to the right one, or any.")
    object_agnostic: bool = key(True, "Write [object] for every mention of an entry's object.")


@dataclass(kw_only=True)
class DataConfig:
    root: str = key(
        "",
        "Folder of the data, e.g. with MVTec-AD's <category>/{train/good,test/<defect>,ground_truth/<defect>}; "
        "docs/data.md lists the layouts.",
    )
    task: Task = key(Task.boxes, "What is asked of each image, and so the form of the answer.")
    with_reference: bool = key(True, "Show a normal image before the inspected one.")
    question: str = key("", "What each sample asks; empty takes the task's own question.")
    instructions: Instructions = key(Instructions.paper, "Words that ask for the form of the answer.")
    anomaly_words: list[str] = key(
        ("defect", "defects", "anomaly", "anomalies", "abnormal"),
        "Words of the prompt by whose attention a token is known to be about anomalies, in any case.",
    )
    knowledge: KnowledgeConfig = key(KnowledgeConfig, "Knowledge that each question offers.")
    lessons: str = key(
        "",
        'Answers that are taught, a line each: {"id", "chosen", "rejected"}; training sees the samples it names. Empty '
        "teaches every sample's right answer.",
    )
    heldout_share: float = key(0.2, "Share of the inspected parts kept for evaluation, chosen by seed.", gt=0, le=0.9)
    num_heldout: int = key(200, "Held-out samples evaluated before and after training; 0 takes all.", ge=0)
    square: int = key(0, "Side in pixels of the square that every image is resized to; 0 keeps shapes.", ge=0)
    min_pixels: int = key(3136, "Images with fewer pixels are enlarged to this.", ge=1)
    max_pixels: int = key(1003520, "Images with more pixels are shrunk to this.", ge=1)
