"""`assay data`: write the demo's generated images, in the folder layout of real datasets."""

import json
import shutil
from pathlib import Path

from conf.schema import DemoDataConfig
from launch.run.crash import CRASH
from launch.run.folder import is_empty
from rl.data.demo.synthesis import write_demo
from rl.faults import UserError


def main(config: DemoDataConfig) -> int:
    """Write the folder, which gets its name when it is complete; print its path and number of images as JSON."""
    root = Path(config.output).resolve()
    try:
        _write(root, config)
    except OSError as error:
        raise UserError(
            f"{config.output}: nothing can be written there ({error.strerror or error}); "
            "give another folder: output=FOLDER"
        ) from error
    print(json.dumps({"output": str(Path(config.output)), "images": sum(1 for _ in root.glob("*/t*/*/*.png"))}))
    return 0


def _write(root: Path, config: DemoDataConfig) -> None:
    if root.exists() and not root.is_dir():
        raise UserError(f"{config.output} is a file; give a folder: output=FOLDER")
    if root.exists() and not is_empty(root):
        raise UserError(f"{config.output} is not empty; give another folder: output=FOLDER")
    unfinished = root.with_name(f"{root.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    write_demo(unfinished, seed=config.seed, num_parts=config.num_parts)
    (root / CRASH).unlink(missing_ok=True)
    unfinished.replace(root)
