"""Reader: a format of data; Record: an inspected image as a format describes it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from rl.types import Box


@dataclass(frozen=True, kw_only=True)
class Record:
    """An inspected image as its format describes it; `rl/data/reading.py` opens and checks the files."""

    path: Path
    folder: Path
    """Folder above the image, which may hold annotations.json."""
    category: str
    """Object or material, e.g. "leather"."""
    kind: str = ""
    """Kind of defect, e.g. "scratch", or "defect" where kinds are not told apart; "" for a normal image."""
    references: tuple[Path, ...] = ()
    """Normal images to compare with, in the order the model sees them."""
    mask: Path | None = None
    """Pixel mask of the defects, same size as the image; None where there is none."""
    boxes: tuple[Box, ...] = ()
    """Defect boxes [x1, y1, x2, y2) in pixels; () takes those of the mask."""
    labels: tuple[str, ...] = ()
    """Defect type of each box; () names all of them after `kind`."""
    boxes_from: str = ""
    """Place that states the boxes, which opens an error about one, e.g. "coco.json: image 7"; "" names the image."""
    rationale: str = ""
    """A reasoning that leads to the truth, without tags."""
    heldout: bool | None = None
    """True for the test split and False for the training split; None leaves the choice to data.heldout_share."""

    @property
    def name(self) -> str:
        """Path below the folder, e.g. "test/scratch/001.png"."""
        return self.path.relative_to(self.folder).as_posix()

    @property
    def sample_id(self) -> str:
        """Category and name without suffix, e.g. "metal/test/scratch/001"."""
        return f"{self.category}/{Path(self.name).with_suffix('').as_posix()}"


def no_root_near(folder: Path) -> Path | None:
    """Know of no folder that was meant instead."""
    return None


@dataclass(frozen=True, kw_only=True)
class Reader:
    """A format of data: all that is known of it, at the end of its own file."""

    help: str
    """Phrase that tells the format from the others."""
    layout: str
    """Files and folders that it expects below the root."""
    to_normal: str
    """Advice that makes an image a normal one, in the imperative; ends errors about masks."""
    recognises: Callable[[Path], bool]
    """Return True if the folder has this layout."""
    find: Callable[[Path], Iterable[Record]]
    """Return the records below a folder that it recognises, in an order that the files' names decide."""
    root_near: Callable[[Path], Path | None] = no_root_near
    """Return the folder that was probably meant by one with another layout: a level or more above, or below."""
