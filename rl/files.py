"""Files that a user or a stranger names: only regular ones are opened, and only below their folder."""

import os
from pathlib import Path
from stat import S_ISREG
from typing import BinaryIO

from rl.faults import UserError, brief


def open_regular(path: Path) -> BinaryIO:
    """Open a file to read its bytes; a UserError names a pipe, a device or a folder, which might never end."""
    if not S_ISREG(path.stat().st_mode):
        raise UserError(f"{path}: this is no regular file; give a file, not a pipe, device or folder")
    return path.open("rb")


def below(where: str, folder: Path, name: str) -> Path:
    """Return the file `name` below a folder; a UserError, opened by `where`, names one that lies elsewhere.

    What is named so is shown in reports and sent to W&B: a file from a stranger must not choose it freely.
    """
    real = "" if "\0" in name else os.path.realpath(folder / name)
    if Path(name).is_absolute() or not Path(real).is_relative_to(os.path.realpath(folder)):
        raise UserError(f"{where} names '{brief(name)}', which lies outside {folder}; name a file below that folder")
    return folder / name
