"""The images that a user names, each with the reference and the mask of its name, in whatever layout."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from rl.data.readers import IMAGES

PREDICTIONS = "predictions.jsonl"
"""The file by which a folder is known to be that of a run, whose pictures are no photos."""
MASK = "_mask"
"""What the name of a mask may add to that of its image."""


@dataclass(frozen=True, kw_only=True)
class Photo:
    """An image to inspect."""

    id: str
    """Its path below the folder that was named, without the suffix, e.g. "scratch/003"."""
    path: Path
    reference: Path | None = None
    """A normal image that it is compared with."""
    mask: Path | None = None
    """Its defects to the pixel."""


def find_photos(named: str) -> list[Photo]:
    """The images of a folder, at every depth, or those named one by one with commas between; sorted by id."""
    paths = named_images(named)
    if is_folder(named):
        (root,) = paths
        paths = _images_below(root)
    else:
        root = Path(os.path.commonpath([path.parent for path in paths] or [Path.cwd()]))
    if not paths:
        raise ValueError(f"input={named} holds no image ({', '.join(IMAGES)}); give a folder that does")
    bare = Counter(_bare(path, root) for path in paths)
    return [
        Photo(id=name if bare[name] == 1 else path.relative_to(root).as_posix(), path=path)
        for path, name in sorted((path, _bare(path, root)) for path in paths)
    ]


def named_images(named: str) -> list[Path]:
    """The folder, or the files with commas between; raises a ValueError when one does not exist."""
    if is_folder(named):
        return [Path(named).absolute()]
    paths = list(dict.fromkeys(Path(part.strip()).absolute() for part in named.split(",") if part.strip()))
    missing = [path for path in paths if not path.is_file()]
    if missing:
        raise ValueError(f"input: there is no folder or file '{missing[0]}'")
    return paths


def is_folder(named: str) -> bool:
    """Whether it is one folder; many files in a row are too long a name for Path.is_dir."""
    return os.path.isdir(named)


def references_of(named: str, photos: Sequence[Photo]) -> dict[str, Path]:
    """The reference of each photo, by id: one file for all of them, or a folder with one of the same name for each."""
    if not named:
        return {}
    if Path(named).is_file():
        return dict.fromkeys((photo.id for photo in photos), Path(named).absolute())
    if not Path(named).is_dir():
        raise ValueError(f"reference: there is no file or folder '{named}'")
    found = Namesakes(Path(named).absolute()).of(photos, ("",))
    lacking = [photo.path for photo in photos if photo.id not in found]
    if lacking:
        raise ValueError(
            f"reference={named} has no image of the same name for {len(lacking)} of {len(photos)} images, e.g. "
            f"{lacking[0]}; add them, or give one image for all"
        )
    return found


def masks_of(named: str, photos: Sequence[Photo]) -> dict[str, Path]:
    """The masks by the ids of their photos; a photo without one has no defect."""
    if not named:
        return {}
    if not Path(named).is_dir():
        raise ValueError(f"masks: there is no folder '{named}'")
    found = Namesakes(Path(named).absolute()).of(photos, ("", MASK))
    if not found:
        raise ValueError(f"masks={named} has no image that is named like one of input, with or without {MASK}")
    return found


@dataclass(frozen=True)
class Namesakes:
    """The images below a folder, found by the names of others."""

    root: Path

    def of(self, photos: Sequence[Photo], endings: Sequence[str]) -> dict[str, Path]:
        """By id, the image of the same path below its folder, or else the only one of the same name."""
        found = {}
        for photo in photos:
            below, name = Path(photo.id).with_name(photo.path.stem).as_posix(), photo.path.stem
            same = [path for ending in endings for path in self._by_path.get(below + ending, ())]
            same = same or [path for ending in endings for path in self._by_name.get(name + ending, ())]
            if len(same) > 1:
                raise ValueError(
                    f"{self.root} has {len(same)} images for {photo.path}, {same[0]} and {same[1]}; leave one"
                )
            if same:
                found[photo.id] = same[0]
        return found

    @cached_property
    def _by_path(self) -> Mapping[str, list[Path]]:
        return _grouped({path: _bare(path, self.root) for path in _images_below(self.root)})

    @cached_property
    def _by_name(self) -> Mapping[str, list[Path]]:
        return _grouped({path: path.stem for paths in self._by_path.values() for path in paths})


def _grouped(names: Mapping[Path, str]) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for path, name in names.items():
        found.setdefault(name, []).append(path)
    return found


def _images_below(folder: Path) -> list[Path]:
    """At every depth, but neither hidden ones nor those of runs below the folder."""
    runs = {file.parent for file in folder.rglob(PREDICTIONS)} - {folder}
    paths = (path for path in folder.rglob("*") if path.suffix.lower() in IMAGES and path.is_file())
    seen = (path for path in paths if runs.isdisjoint(path.parents))
    return sorted(path for path in seen if not any(part.startswith(".") for part in path.relative_to(folder).parts))


def _bare(path: Path, root: Path) -> str:
    return path.relative_to(root).with_suffix("").as_posix()
