"""Attention maps of a few held-out samples, the same at every evaluation, in files of the run folder."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rl.evaluation.localization import greedy_maps, mean_look, times_even
from rl.files import replaced
from rl.types import DEFECTIVE, NORMAL, Group

KEPT = {DEFECTIVE: 6, NORMAL: 2}
"""Number of samples of each label whose maps are kept: the first held-out ones, so always the same."""


@dataclass(frozen=True, kw_only=True)
class KeptMap:
    """The attention map of one held-out answer."""

    heat: np.ndarray
    """[rows, columns] float32 over the tokens of the inspected image, in multiples of an even look."""
    agreement: float
    """J, in [0, 1]: the share of places that all top tokens of the answer look at."""


def kept_groups(groups: Sequence[Group]) -> list[Group]:
    """Return the groups whose maps are kept: of each label the first ones that have a map, as many as KEPT says."""
    with_maps = [group for group in groups if greedy_maps(group)]
    by_label = {label: [group for group in with_maps if group.prompt.target.label == label] for label in KEPT}
    return [group for label, count in KEPT.items() for group in by_label[label][:count]]


def maps_file(run: Path, step: int) -> Path:
    return run / "samples" / f"maps_step_{step}.npz"


def kept_files(run: Path) -> list[Path]:
    return list(run.glob("samples/maps_step_*.npz"))


def kept_map(group: Group) -> KeptMap:
    look = group.looks[0]
    return KeptMap(heat=times_even(mean_look(look)), agreement=look.agreement)


def write_maps(path: Path, groups: Sequence[Group]) -> None:
    """Write an .npz file of the groups' maps; a run that is killed leaves a whole file or none.

    Its arrays are ids, agreement (J), shapes (rows, columns) and rdam, the values of all maps one after another.
    """
    rdams, looks = [_rdam(group) for group in groups], [group.looks[0] for group in groups]
    path.parent.mkdir(exist_ok=True)
    with replaced(path) as unfinished, unfinished.open("wb") as file:
        np.savez_compressed(
            file,
            ids=np.array([group.prompt.sample.id for group in groups]),
            agreement=np.array([look.agreement for look in looks]),
            shapes=np.array([rdam.shape for rdam in rdams]),
            rdam=np.concatenate([rdam.ravel() for rdam in rdams]),
        )


def _rdam(group: Group) -> np.ndarray:
    maps = greedy_maps(group)
    assert maps
    return maps.rdam


def read_maps(path: Path) -> dict[str, KeptMap]:
    """Return each map of the file by the id of its sample."""
    with np.load(path, allow_pickle=False) as stored:
        shapes, values = stored["shapes"], stored["rdam"]
        parts = np.split(values, np.cumsum(shapes.prod(axis=1))[:-1])
        rows = zip(stored["ids"], parts, shapes, stored["agreement"], strict=True)
        return {
            str(name): KeptMap(heat=times_even(part.reshape(shape)), agreement=float(agreement))
            for name, part, shape, agreement in rows
        }
