"""A file of pairs of the demo's samples: the right verdict against the wrong one."""

import json
from dataclasses import replace
from pathlib import Path

from rl.data.config import DataConfig
from rl.data.prompts import answer_text
from rl.data.reading import read_samples
from rl.data.split import split_heldout


def write_verdict_pairs(demo_data: Path, file: Path, count: int) -> Path:
    """Write `count` pairs of training samples, spread over them; return the file."""
    training, _ = split_heldout(read_samples(DataConfig(root=str(demo_data))), 0.2, 0)
    lines = []
    for sample in training[:: len(training) // count][:count]:
        other = "normal" if sample.target.label == "defective" else "defective"
        wrong = replace(sample.target, label=other, boxes=(), box_labels=())
        chosen, rejected = (answer_text(target, sample.task) for target in (sample.target, wrong))
        lines.append(json.dumps({"id": sample.id, "chosen": chosen, "rejected": rejected}) + "\n")
    file.write_text("".join(lines))
    return file
