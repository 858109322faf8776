"""`assay export`: write a checkpoint as a model folder, with adapters merged in and a model card."""

import json
import shutil
from importlib.metadata import version
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from actors.checkpoint import write_merged
from conf.schema import ExportConfig
from launch.run.crash import CRASH
from launch.run.folder import METRICS, is_empty
from rl.checkpoints import FOLDER, Checkpoint, newest_whole, read_checkpoint
from rl.faults import UserError

CARD = "README.md"
RESULTS = ("reward/mean", "eval/heldout/accuracy", "eval/heldout/mean_iou", "eval/heldout/recall")
PACKAGES = ("torch", "transformers", "peft", "verl", "ray")


def main(config: ExportConfig) -> int:
    """Write the model folder and print its path as JSON."""
    checkpoint = find_checkpoint(Path(config.checkpoint))
    output = Path(config.output)
    if output.exists() and (output.is_file() or not is_empty(output)):
        raise UserError(f"output={output} is a file or not empty; remove it, or give another one")
    card, unfinished = model_card(checkpoint), output.with_name(f".{output.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    _write(checkpoint, unfinished)
    (unfinished / CARD).write_text(card, encoding="utf-8")
    if output.exists():
        (output / CRASH).unlink(missing_ok=True)
        output.rmdir()
    unfinished.rename(output)
    print(json.dumps({"output": str(output), "checkpoint": str(checkpoint.folder)}))
    return 0


def _write(checkpoint: Checkpoint, output: Path) -> None:
    whole = checkpoint.folder / "hf"
    if whole.is_dir():
        shutil.copytree(whole, output)
        return
    model = checkpoint.record.config["model"]
    base = model["path"]
    if Path(base).is_absolute() and not Path(base).is_dir():
        raise UserError(f"{checkpoint.folder}: its adapter needs the base model {base}, which is missing; restore it")
    output.mkdir(parents=True)
    write_merged(base, checkpoint.folder / "adapter", model["precision"], output)


def find_checkpoint(path: Path) -> Checkpoint:
    """Read the checkpoint at `path`, or the newest whole one if `path` is a run folder."""
    if not (path / FOLDER).is_dir():
        return read_checkpoint(path)
    newest, faults = newest_whole(path)
    if newest is None:
        raise UserError(f"checkpoint={path}: no checkpoint of that run is whole ({'; '.join(faults) or 'none there'})")
    return newest


def model_card(checkpoint: Checkpoint) -> str:
    """Write the model card: base model, data, results and config, with the metadata that hubs read."""
    record = checkpoint.record
    model, data, step = record.config["model"], record.config["data"], record.progress.step
    head = {
        "base_model": Path(model["path"]).name if Path(model["path"]).is_absolute() else model["path"],
        "library_name": "transformers",
        "pipeline_tag": "image-text-to-text",
        "tags": ["assay", "anomaly-detection", "reinforcement-learning"],
    }
    results = [f"| `{name}` | {value:.4g} | {at} |" for name, (value, at) in _results(checkpoint).items()]
    facts = {
        "Trained from": f"`{model['path']}` (fingerprint `{record.model}`)",
        "Data": f"`{data['root']}`, hash `{record.data_hash}`",
        "Training steps": str(step),
        "Samples seen": str(record.progress.position),
        "Exported with": ", ".join(f"{name} {version(name)}" for name in PACKAGES),
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
            *(f"* {name}: {text}" for name, text in facts.items()),
            "",
            "## Results",
            "",
            "| metric | value | after step |\n|---|---|---|",
            *results,
            "",
            "## Config",
            "",
            "```yaml",
            OmegaConf.to_yaml(OmegaConf.create(record.config)).strip(),
            "```",
            "",
        ]
    )


def _results(checkpoint: Checkpoint) -> dict[str, tuple[float, int]]:
    """Return the last value of each metric up to the checkpoint's step, with the step it was measured at."""
    metrics = checkpoint.folder.parent.parent / METRICS
    if not metrics.is_file():
        raise UserError(f"{metrics}: the results of {checkpoint.folder.name} are missing; export from its run folder")
    rows: list[dict[str, Any]] = [json.loads(line) for line in metrics.read_text().splitlines()]
    found: dict[str, tuple[float, int]] = {}
    for row in rows:
        if row["step"] <= checkpoint.record.progress.step:
            found |= {name: (row[name], row["step"]) for name in RESULTS if row.get(name) is not None}
    return found
