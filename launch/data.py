"""`assay data`: writes the demo's generated parts, in the layout that real datasets have."""

import json
import shutil
from pathlib import Path

from conf.schema import DemoDataConfig
from rl.data.synthesis import write_demo


def main(config: DemoDataConfig) -> int:
    """Its last printed line says what was written; the folder appears when it is complete."""
    root = Path(config.output)
    if root.exists() and any(root.iterdir()):
        raise ValueError(f"{root} is not empty; remove it, or give another folder: output=FOLDER")
    unfinished = root.with_name(f"{root.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    write_demo(unfinished, seed=config.seed, num_parts=config.num_parts)
    unfinished.replace(root)
    print(json.dumps({"output": str(root), "images": sum(1 for _ in root.glob("*/t*/*/*.png"))}))
    return 0
