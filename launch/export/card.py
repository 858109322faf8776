"""The model card of an exported model: how to ask it, and what it was made of."""

from collections.abc import Mapping
from math import isfinite, nan
from pathlib import Path

from omegaconf import OmegaConf

from launch.export.asking_code import asking_section
from launch.run.folder import METRICS
from launch.run.rows import read_rows
from launch.run.software import versions
from rl.checkpoints import Checkpoint
from rl.faults import UserError

RESULTS = ("reward/mean", "eval/heldout/accuracy", "eval/heldout/mean_iou", "eval/heldout/recall")
Result = tuple[float, int]
"""Value of a metric, and the step after which it was measured."""


def model_card(checkpoint: Checkpoint, results: Mapping[str, Result], model: Path, name: str) -> str:
    """Return the model card: how to ask the model in the folder `model`, to be called `name`; its origin."""
    record = checkpoint.record
    base, data, step = record.config["model"]["path"], record.config["data"], record.progress.step
    head = {
        "base_model": Path(base).name if Path(base).is_absolute() else base,
        "library_name": "transformers",
        "pipeline_tag": "image-text-to-text",
        "tags": ["assay", "anomaly-detection", "reinforcement-learning"],
    }
    rows = [f"| `{metric}` | {value:.4g} | {at} |" for metric, (value, at) in results.items()]
    facts = {
        "Trained from": f"`{base}` (fingerprint `{record.model}`)",
        "Data": f"`{data['root']}`, hash `{record.data_hash}`",
        "Training steps": str(step),
        "Samples seen": str(record.progress.position),
        "Exported with": ", ".join(map(" ".join, versions().items())),
    }
    return "\n".join(
        [
            "---",
            OmegaConf.to_yaml(OmegaConf.create(head)).strip(),
            "---",
            f"# {checkpoint.folder.parent.parent.name}, step {step}",
            "",
            "A vision-language model post-trained by Assay to inspect things.",
            "",
            *(f"* {fact}: {text}" for fact, text in facts.items()),
            "",
            *asking_section(checkpoint.record.config, model, name),
            "## Results",
            "",
            "| metric | value | after step |\n|---|---|---|",
            *rows,
            "",
            "## Config",
            "",
            "```yaml",
            OmegaConf.to_yaml(OmegaConf.create(record.config)).strip(),
            "```",
            "",
        ]
    )


def results_of(checkpoint: Checkpoint) -> dict[str, Result]:
    """Return the last value of each metric up to the checkpoint's step, with the step it was measured at."""
    metrics = checkpoint.folder.parent.parent / METRICS
    if not metrics.is_file():
        raise UserError(f"{metrics}: the results of {checkpoint.folder.name} are missing; export from its run folder")
    found: dict[str, Result] = {}
    for row in read_rows(metrics.parent).rows:
        if row["step"] <= checkpoint.record.progress.step:
            found |= {name: (row[name], int(row["step"])) for name in RESULTS if isfinite(row.get(name, nan))}
    return found
