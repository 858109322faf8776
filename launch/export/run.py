"""`assay export`: write a checkpoint as a model folder, with adapters merged in and a model card."""

import json
import shutil
from pathlib import Path

from conf.schema import ExportConfig
from launch.run.crash import CRASH
from launch.run.folder import is_empty
from launch.run.model_folder import write_model
from rl.checkpoints import find_checkpoint
from rl.faults import UserError

CARD = "README.md"


def main(config: ExportConfig) -> int:
    """Write the model folder and print its path as JSON."""
    checkpoint = find_checkpoint(Path(config.checkpoint))
    output = Path(config.output)
    if output.exists() and (output.is_file() or not is_empty(output)):
        raise UserError(f"output={output} is a file or not empty; give another folder: output=FOLDER")
    # Not at the top: transformers takes seconds.
    from launch.export.card import model_card, results_of

    results = results_of(checkpoint)
    unfinished = output.with_name(f".{output.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    write_model(checkpoint, unfinished)
    card = model_card(checkpoint, results, unfinished, output.name)
    (unfinished / CARD).write_text(card, encoding="utf-8")
    if output.exists():
        (output / CRASH).unlink(missing_ok=True)
        output.rmdir()
    unfinished.rename(output)
    print(json.dumps({"output": str(output), "checkpoint": str(checkpoint.folder)}))
    return 0
