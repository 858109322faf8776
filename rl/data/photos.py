"""The images that a user names, in any layout, each with the reference and the mask of the same name."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from rl.data.images import IMAGE_SUFFIXES
from rl.faults import UserError

PREDICTIONS = "predictions.jsonl"
"""File that marks the folder of a prediction run, whose pictures are not inspected."""
MASK = "_mask"
"""Optional ending of a mask's name after the name of its image."""
MASKS = "ground_truth"
"""Folder of masks in MVTec-AD's layout."""


@dataclass(frozen=True, kw_only=True)
class Photo:
    """An image to inspect."""

    id: str
    """Its path below the folder that was named, without the suffix, e.g. "scratch/003"."""
    path: Path
    reference: Path | None = None
    """Normal image to compare with."""
    mask: Path | None = None
    """Pixel mask of the defects."""


def find_photos(named: str) -> list[Photo]:
    """Return the images of a folder, at every depth, or the comma-separated ones, sorted by path."""
    paths = named_images(named)
    if is_folder(named):
        (root,) = paths
        paths = _images_below(root)
        _check_no_masks(named, root, paths)
    else:
        _check_images(paths)
        root = Path(os.path.commonpath([path.parent for path in paths] or [Path.cwd()]))
    if not paths:
        raise UserError(f"input={named} holds no image ({', '.join(IMAGE_SUFFIXES)}); give a folder that does")
    bare, whole = Counter(_bare(path, root) for path in paths), {path.relative_to(root).as_posix() for path in paths}
    return [
        Photo(id=name if bare[name] == 1 and name not in whole else path.relative_to(root).as_posix(), path=path)
        for path, name in sorted((path, _bare(path, root)) for path in paths)
    ]


def _check_no_masks(named: str, root: Path, paths: Sequence[Path]) -> None:
    masks = [path for path in paths if MASKS in path.relative_to(root).parts]
    if masks:
        category = next(folder.parent for folder in masks[0].parents if folder.name == MASKS)
        raise UserError(
            f"input={named} holds masks too, e.g. {masks[0]}; give a folder of photos alone, "
            f"e.g. input={category / 'test'}, and masks={category / MASKS}"
        )


def _check_images(paths: Sequence[Path]) -> None:
    strange = [path for path in paths if path.suffix.lower() not in IMAGE_SUFFIXES]
    if strange:
        raise UserError(
            f"input: {strange[0]} is no image ({', '.join(IMAGE_SUFFIXES)}); give a folder of images, or images with "
            "commas between"
        )


def named_images(named: str) -> list[Path]:
    """Return the folder, or the comma-separated files; a UserError names one that does not exist."""
    if is_folder(named) or os.path.isfile(named):
        return [Path(named).absolute()]
    paths = list(dict.fromkeys(Path(part.strip()).absolute() for part in named.split(",") if part.strip()))
    missing = [path for path in paths if not path.is_file()]
    if missing and missing[0].is_dir():
        raise UserError(f"input: '{missing[0]}' is a folder; give it alone, commas stand between files")
    if missing:
        raise UserError(
            f"input: there is no folder or file '{missing[0]}'; give a folder of images, or images with commas between"
        )
    return paths


def is_folder(named: str) -> bool:
    """Return True if it is one folder; Path.is_dir would raise on a long list of files, os.path.isdir does not."""
    return os.path.isdir(named)


def references_of(named: str, photos: Sequence[Photo]) -> dict[str, Path]:
    """Return the reference of each photo by id, from one file for all or a folder with a namesake for each."""
    if not named:
        return {}
    if Path(named).is_file():
        return dict.fromkeys((photo.id for photo in photos), Path(named).absolute())
    if not Path(named).is_dir():
        raise UserError(
            f"reference: there is no file or folder '{named}'; give a normal image, or a folder with one for each image"
        )
    found = Namesakes(Path(named).absolute()).of(photos, ("",), by_name=True)
    lacking = [photo.path for photo in photos if photo.id not in found]
    if lacking:
        raise UserError(
            f"reference={named} has no image of the same name for {len(lacking)} of {len(photos)} images, e.g. "
            f"{lacking[0]}; add them, or give one image for all"
        )
    return found


def masks_of(named: str, photos: Sequence[Photo]) -> dict[str, Path]:
    """Return the masks by the ids of their photos; a photo without a mask has no defect.

    Names repeat in MVTec-AD's folders, e.g. good/000.png and scratch/000.png: masks in subfolders are matched by their
    path, not by name alone.
    """
    if not named:
        return {}
    if not Path(named).is_dir():
        raise UserError(f"masks: there is no folder '{named}'; give that of the masks, or leave masks out")
    namesakes = Namesakes(Path(named).absolute())
    found = namesakes.of(photos, ("", MASK), by_name=namesakes.is_flat)
    if not found:
        raise UserError(
            f"masks={named} has no image of the same path below it as one of input, with or without {MASK}; lay both "
            "out alike, or put all masks into one folder"
        )
    owners: dict[Path, Path] = {}
    for photo in photos:
        mask = found.get(photo.id)
        if mask and owners.setdefault(mask, photo.path) != photo.path:
            raise UserError(
                f"masks={named}: {mask} is named like {owners[mask]} and {photo.path}; give each image its own, in "
                "folders laid out like theirs"
            )
    return found


@dataclass(frozen=True)
class Namesakes:
    """The images below a folder, found by the names of other images."""

    root: Path

    @property
    def is_flat(self) -> bool:
        """True if no image lies in a subfolder."""
        return not any("/" in name for name in self._by_path)

    def of(self, photos: Sequence[Photo], endings: Sequence[str], *, by_name: bool) -> dict[str, Path]:
        """Return by photo id the image at the same path or, with `by_name`, else the only image of the same name."""
        found = {}
        for photo in photos:
            below, name = Path(photo.id).with_name(photo.path.stem).as_posix(), photo.path.stem
            same = [path for ending in endings for path in self._by_path.get(below + ending, ())]
            if by_name and not same:
                same = [path for ending in endings for path in self._by_name.get(name + ending, ())]
            if len(same) > 1:
                raise UserError(
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
    """Return the images at every depth, except hidden ones and those of runs below the folder."""
    runs = {file.parent for file in folder.rglob(PREDICTIONS)} - {folder}
    paths = (path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file())
    seen = (path for path in paths if runs.isdisjoint(path.parents))
    return sorted(path for path in seen if not any(part.startswith(".") for part in path.relative_to(folder).parts))


def _bare(path: Path, root: Path) -> str:
    return path.relative_to(root).with_suffix("").as_posix()
