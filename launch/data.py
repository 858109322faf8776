"""`assay data`: writes the demo's generated parts, in the layout that real datasets have."""

import json
from pathlib import Path

from conf.schema import DemoDataConfig
from rl.data.synthesis import write_demo


def main(config: DemoDataConfig) -> int:
    """Its last printed line says what was written."""
    root = Path(config.output)
    if any(root.iterdir()):
        raise ValueError(f"{root} is not empty; remove it, or give another folder: output=FOLDER")
    write_demo(root, seed=config.seed, num_parts=config.num_parts)
    print(json.dumps({"output": str(root), "images": sum(1 for _ in root.glob("*/t*/*/*.png"))}))
    return 0
