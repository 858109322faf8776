"""Files: only regular ones are opened, a stranger's names stay below their folder, and a file is replaced whole."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from stat import S_ISREG
from typing import BinaryIO

from rl.faults import UserError, brief, of_file


def open_regular(path: Path) -> BinaryIO:
    """Open a file to read its bytes; a UserError names a pipe, a device or a folder, which might never end."""
    if not S_ISREG(path.stat().st_mode):
        raise UserError(f"{path}: this is no regular file; give a file, not a pipe, device or folder")
    return path.open("rb")


def below(where: str, folder: Path, name: str) -> Path:
    """Return the file `name` below a folder; a UserError, opened by `where`, refuses a name that leads elsewhere.

    What is named so is shown in reports and sent to W&B: a file from a stranger must not choose it freely. Links are
    followed, as for images that are found: data sets of DVC, git-annex and the hub consist of links, which lie open in
    the file system, while a name in a file is read by nobody.
    """
    path = Path(name)
    if path.is_absolute() or ".." in path.parts or "\0" in name:
        raise UserError(f"{where} names '{brief(name)}'; name a file below {folder}, without .. and a / in front")
    return folder / path


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """Give the place of a file that takes the path's place after the block.

    A kill leaves the file before or the new one, never a part; so does a fault, and an OSError names the file.
    """
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        with of_file(path):
            yield unfinished
        os.replace(unfinished, path)
    except BaseException:
        # A full disk needs its bytes.
        unfinished.unlink(missing_ok=True)
        raise
