"""Reader of MVTec-AD's layout: a folder per kind of defect, and one of normal images to compare with."""

from collections.abc import Iterator
from pathlib import Path

from rl.data.images import images_in
from rl.data.readers.reader import Reader, Record
from rl.faults import UserError

GOOD = "good"
"""Folder of the normal images."""
PARTS = ("train", "test", "ground_truth")
"""Folders of a category."""
LEVELS = 3
"""Levels of folders from a category's down to those of its images, e.g. bolt, bolt/test and bolt/test/bent."""


def _recognises(root: Path) -> bool:
    return bool(_categories(root))


def _find(root: Path) -> Iterator[Record]:
    for folder in _categories(root):
        yield from _records(folder)


def _categories(root: Path) -> list[Path]:
    return sorted(path.parent for path in root.glob("*/test") if path.is_dir())


def _root_near(folder: Path) -> Path | None:
    """Return the root of the category that the folder is or lies in, or else a root just below the folder."""
    for category in [folder, *folder.parents][:LEVELS]:
        part = folder.relative_to(category).parts[:1]
        if (category / "test").is_dir() and (not part or part[0] in PARTS):
            return category.parent
    return min((path.parents[1] for path in folder.glob("*/*/test") if path.is_dir()), default=None)


def _records(folder: Path) -> Iterator[Record]:
    """Yield the records of a category; image i of a kind is compared with reference i mod n."""
    references = images_in(folder / "train" / GOOD)
    masked = (folder / "ground_truth").exists()
    kinds = sorted(path for path in (folder / "test").iterdir() if path.is_dir())
    if not kinds:
        raise UserError(
            f"{folder / 'test'}: the folder holds no folder of images, {GOOD} or one named after a kind of defect; add "
            f"some, or remove {folder}"
        )
    for kind in kinds:
        for number, path in enumerate(images_in(kind)):
            mask = folder / "ground_truth" / kind.name / f"{path.stem}_mask.png"
            yield Record(
                path=path,
                folder=folder,
                category=folder.name,
                kind="" if kind.name == GOOD else kind.name,
                references=(references[number % len(references)],),
                mask=mask if masked and kind.name != GOOD else None,
            )


READER = Reader(
    help="a folder per kind of defect",
    layout="<category>/{train/good,test/<defect>,ground_truth/<defect>}",
    to_normal="move the image to test/good",
    recognises=_recognises,
    find=_find,
    root_near=_root_near,
)
