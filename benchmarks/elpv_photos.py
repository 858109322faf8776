"""Real photos of solar cells (ELPV) as folders that Assay reads: `python -m benchmarks.elpv_photos FOLDER`.

Needs the extra `elpv`. The photos are 300×300 pixels of electroluminescence, each with the probability of a defect that
experts gave it; only those with 0 or 1 are taken. They are licensed CC BY-NC-SA 4.0, which forbids commercial use, and
the code that comes with them Apache-2.0: cite Deitsch et al., Solar Energy 185 (2019), 455–468, where you show results.
"""

import argparse
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

LABELS = "labels.csv"


@dataclass(frozen=True, kw_only=True)
class Cell:
    """Photo of a solar cell about which all experts agree."""

    path: Path
    defective: bool


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="gets photos/ to learn from and new/ to ask about")
    parser.add_argument("--photos", type=int, default=400, help="photos to learn from, half of them defective")
    parser.add_argument("--references", type=int, default=40, help="further good ones to compare with")
    parser.add_argument("--new", type=int, default=60, help="further ones in new/, half of them defective")
    options = parser.parse_args()
    if find_spec("elpv_dataset") is None:
        parser.error('the photos are not installed; run: pip install -e ".[elpv]"')
    if options.folder.exists():
        parser.error(f"{options.folder} exists; remove it, or give another folder")
    write_photos(options.folder, options.photos // 2, options.references, options.new // 2)
    print(f"{options.folder}: {options.photos} photos, {options.references} references, {options.new} new")
    return 0


def write_photos(folder: Path, num_each: int, num_references: int, num_new: int) -> None:
    """Deal the photos out in the order of their numbers: references, then photos to learn from, then new ones."""
    good, defective = ([cell for cell in agreed_cells() if cell.defective == wanted] for wanted in (False, True))
    category = folder / "photos/cell"
    places = {
        category / "train/good": good[:num_references],
        category / "test/good": good[num_references:][:num_each],
        category / "test/defective": defective[:num_each],
        folder / "new/good": good[num_references + num_each :][:num_new],
        folder / "new/defective": defective[num_each:][:num_new],
    }
    for place, cells in places.items():
        place.mkdir(parents=True)
        for cell in cells:
            shutil.copy(cell.path, place)


def agreed_cells() -> Iterator[Cell]:
    """Yield the photos that are certainly good or certainly defective, in the order of their numbers."""
    import elpv_dataset

    data = Path(elpv_dataset.__file__).parent / "data"
    for line in (data / LABELS).read_text(encoding="utf-8").splitlines():
        name, probability, _ = line.split()
        if float(probability) in (0.0, 1.0):
            yield Cell(path=data / name, defective=float(probability) == 1.0)


if __name__ == "__main__":
    raise SystemExit(main())
