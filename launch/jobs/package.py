"""Packs the working tree for a job, and translates paths into it."""

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZipFile

from ray._private.runtime_env.packaging import GCS_STORAGE_MAX_SIZE, create_package

from launch.jobs.secret_files import leave_secrets
from rl.faults import UserError

EXCLUDES = (".git", ".venv", "/data", "/runs", "/wandb", "__pycache__", ".*_cache", ".hypothesis", "*.egg-info")
"""Patterns that are left out in addition to those in .gitignore and .rayignore."""
MIB = 2**20


@dataclass(frozen=True, kw_only=True)
class Package:
    """Packed working tree."""

    folder: Path
    """Root of the tree; in the job, the current folder."""
    archive: Path
    names: frozenset[str]
    """Files in the archive, relative to `folder`."""
    left_behind: tuple[str, ...]
    """Files that are not in it because they look like secrets."""

    def carries(self, path: Path) -> bool:
        """Return True if the file, or a file in the folder, is in the archive."""
        if not path.is_relative_to(self.folder):
            return False
        name = path.relative_to(self.folder).as_posix()
        return any(packed == name or packed.startswith(f"{name}/") for packed in self.names)

    def path_in_job(self, path: str, here: Path) -> str:
        """Return the path in the job of a path relative to `here`: relative if it is in the archive, else absolute."""
        whole = Path(os.path.normpath(here / path))
        return whole.relative_to(self.folder).as_posix() if self.carries(whole) else str(whole)


def pack(folder: Path, archive: Path, limit_bytes: int = GCS_STORAGE_MAX_SIZE) -> Package:
    """Write the archive that Ray would make of the tree, without secrets; a UserError says that it is too large."""
    if not (folder / "pyproject.toml").is_file():
        raise UserError(f"{folder} is no working tree of Assay; submit from a checkout that is installed with pip -e")
    create_package(
        str(folder), archive, include_gitignore=True, excludes=list(EXCLUDES), logger=logging.getLogger(__name__)
    )
    left_behind = leave_secrets(archive)
    with ZipFile(archive) as packed:
        files = sorted(packed.infolist(), key=lambda file: file.compress_size, reverse=True)
    size = archive.stat().st_size
    if size >= limit_bytes:
        largest = ", ".join(f"{file.filename} ({file.compress_size / MIB:.1f} MiB)" for file in files[:3])
        raise UserError(
            f"{folder} packs to {size / MIB:.1f} MiB and Ray takes less than {limit_bytes / MIB:.1f}; "
            f"name what the job does not need in .rayignore or .gitignore; the largest are {largest}"
        )
    names = frozenset(file.filename for file in files)
    return Package(folder=folder, archive=archive, names=names, left_behind=left_behind)
