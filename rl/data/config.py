"""Config of the data that a run reads."""

from dataclasses import dataclass
from enum import Enum

from rl.config import key
from rl.types import Task

KNOWLEDGE = "knowledge.yaml"
"""File of a data folder with the expert knowledge; `assay data` writes one."""


class Instructions(Enum):
    """Words around the question."""

    paper = "paper"
    """The words with which the task's paper asks for its form of answer."""
    none = "none"
    """No words, for a model that knows the form."""


class Choice(Enum):
    """Choice of the wrong knowledge beside the right one."""

    deceptive = "deceptive"
    """The nearest in meaning to the right one."""
    uniform = "uniform"
    """Any, by chance."""


@dataclass(kw_only=True)
class KnowledgeConfig:
    """Expert knowledge offered with each question (DCR²-AD)."""

    file: str = key(
        "", "MMAD's domain_knowledge.json or a YAML of dataset, object, defect and text; empty offers none."
    )
    num_wrong: int = key(3, "Wrong entries offered beside the right one.", ge=1)
    wrong: Choice = key(Choice.deceptive, "Wrong entries: the nearest in meaning to the right one, or any.")
    object_agnostic: bool = key(True, "Replace every mention of an entry's object by [object].")


@dataclass(kw_only=True)
class DataConfig:
    root: str = key(
        "",
        "Folder of the data, e.g. with MVTec-AD's <category>/{train/good,test/<defect>,ground_truth/<defect>}; "
        "docs/data.md lists the layouts.",
    )
    task: Task = key(Task.boxes, "Task: the question about each image and the form of the answer.")
    with_reference: bool = key(True, "Show a normal image before the inspected one.")
    question: str = key("", "Question about each image; empty takes the task's own.")
    instructions: Instructions = key(Instructions.paper, "Words that ask for the form of the answer.")
    anomaly_words: list[str] = key(
        ("defect", "defects", "anomaly", "anomalies", "abnormal"),
        "Prompt words, case-insensitive; tokens that attend to them are taken to be about the anomaly.",
    )
    knowledge: KnowledgeConfig = key(KnowledgeConfig, "Expert knowledge offered with each question.")
    lessons: str = key(
        "",
        'File of answers to teach, one JSON object per line: {"id", "chosen", "rejected"}; only samples that it names '
        "are trained on. Empty teaches every sample's right answer.",
    )
    heldout_share: float = key(
        0.2,
        "Share of the samples held out for evaluation, chosen by seed; a data set's own split wins.",
        gt=0,
        le=0.9,
    )
    num_heldout: int = key(200, "Held-out samples evaluated before and after training; 0 takes all.", ge=0)
    square: int = key(0, "Side in pixels of a square to resize every image to; 0 keeps the images' shapes.", ge=0)
    min_pixels: int = key(3136, "Images with fewer pixels are enlarged to this.", ge=1)
    max_pixels: int = key(1003520, "Images with more pixels are shrunk to this.", ge=1)
