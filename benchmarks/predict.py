"""Speed of `assay predict` on 200 images, three of them damaged: `python -m benchmarks.predict`; one minute.

Prints one line of JSON; the exit code is 0 if the output is complete and came in time.
"""

import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.evidence import run
from rl.data.demo.synthesis import MATERIALS, write_demo

NUM_IMAGES, NUM_DAMAGED = 200, 3
LONGEST_S = 180.0


def main() -> int:
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        damaged = write_photos(folder)
        done = run(
            f"{sys.executable} -m launch predict model=starter input={folder}/photos reference={folder}/normal "
            f"output={folder}/run",
            timeout_s=900,
        )
        faults = faults_of(folder / "run", done.code, done.seconds, damaged)
        found = json.loads(done.last_line) if done.last_line.startswith("{") else {"fault": done.fault}
    counts = {name: found.get(name) for name in ("images", "defective", "normal", "unreadable", "corrupt")}
    print(json.dumps({"seconds": round(done.seconds, 1), **counts, "faults": faults}))
    return int(bool(faults))


def write_photos(folder: Path) -> list[str]:
    """Write demo images to one folder and their references to another; return the ids of the truncated images."""
    write_demo(folder / "demo", seed=7, num_parts=NUM_IMAGES // len(MATERIALS))
    for name in ("photos", "normal"):
        (folder / name).mkdir()
    for path in sorted((folder / "demo").glob("*/test/*/*.png")):
        material, kind = path.parents[2].name, path.parent.name
        name = f"{material}_{kind}_{path.name}"
        shutil.copy(path, folder / "photos" / name)
        shutil.copy(path.parents[2] / "train/good" / path.name, folder / "normal" / name)
    cut = sorted((folder / "photos").iterdir())[:: NUM_IMAGES // NUM_DAMAGED][:NUM_DAMAGED]
    for path in cut:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return [path.stem for path in cut]


def faults_of(run_folder: Path, code: int, seconds: float, damaged: Sequence[str]) -> list[str]:
    """List the faults of a run: its time, exit code, lines, pictures and page."""
    file = run_folder / "predictions.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    whole = [line for line in lines if not line["error"]]
    page = run_folder / "predictions.html"
    cards = page.read_text().count('class="card case ') if page.exists() else 0
    checks = {
        f"it took {seconds:.0f} s": seconds <= LONGEST_S,
        f"its exit code was {code}": code == 1,
        f"{len(lines)} images have a line": len(lines) == NUM_IMAGES,
        "the reported files are not the damaged ones": [line["id"] for line in lines if line["error"]] == list(damaged),
        "an image has no verdict, probability, map or reasoning": all(
            line["verdict"] and line["p_yes"] is not None and line["map"] and line["reasoning"] for line in whole
        ),
        "a picture is missing": all((run_folder / line["map"]).is_file() for line in whole if line["map"]),
        f"the page has {cards} cards": cards == NUM_IMAGES,
    }
    return [fault for fault, holds in checks.items() if not holds]


if __name__ == "__main__":
    sys.exit(main())
