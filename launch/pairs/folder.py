"""The folder of `assay pairs`: its journals, and the check that a run may go on with them."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from actors.config import ClusterConfig, ModelConfig
from actors.model_folder import weights_name
from conf.schema import PairsConfig
from launch.run.crash import CRASH
from launch.run.folder import dump_config
from rl.data.images import in_threads
from rl.data.pairs.config import selects
from rl.data.pairs.journal import Journal, write_whole
from rl.data.pairs.trajectories import CHOSEN, REJECTED, is_pair, kinds_of, why_left_out
from rl.documents import read_json
from rl.faults import UserError
from rl.types import Sample
from rollout.config import TeacherConfig

KEY = "key.json"
SELECTION, TRAJECTORIES, PAIRS = "selection.jsonl", "trajectories.jsonl", "pairs.jsonl"


class PairsFolder:
    """The journals of a run."""

    def __init__(self, path: Path, samples: Sequence[Sample], config: PairsConfig) -> None:
        self.path = path
        self.samples = samples
        """The training samples, in their order."""
        self._selects = selects(config.pairs)
        self.selection = Journal(path / SELECTION)
        self.trajectories = Journal(path / TRAJECTORIES)

    @property
    def kept(self) -> list[Sample]:
        """The samples that are kept, as far as they are selected."""
        if not self._selects:
            return list(self.samples)
        ids = {line["id"] for line in self.selection.lines if line["kept"]}
        return [sample for sample in self.samples if sample.id in ids]

    @property
    def is_selected(self) -> bool:
        """True if the selection is complete."""
        return not self._selects or len(self.selection.lines) == len(self.samples)

    @property
    def is_unanswered(self) -> bool:
        """True if there are answers and none of them gives an option."""
        lines = self.selection.lines
        return bool(lines) and not any(line["answered"] for line in lines)

    @property
    def is_written(self) -> bool:
        return self.is_selected and len(self.trajectories.lines) == len(self.kept)

    def progress(self) -> str:
        """Say how far the selection is, or the writing once the selection is complete."""
        if not self.is_selected:
            return f"{len(self.selection.lines)} of {len(self.samples)} samples asked about"
        return f"{len(self.trajectories.lines)} of {len(self.kept)} samples written about"

    def pairs(self) -> list[dict[str, Any]]:
        """Return the lessons in the order of the samples."""
        p_right = {line["id"]: line["p_right"] for line in self.selection.lines}
        names = ("id", CHOSEN, REJECTED, "knowledge", "wrong_knowledge")
        return [
            {name: line[name] for name in names} | {"p_right": p_right.get(line["id"])}
            for line in self.trajectories.lines
            if is_pair(line)
        ]

    def write_pairs(self) -> None:
        write_whole(self.path / PAIRS, self.pairs())

    def selection_counts(self) -> dict[str, int]:
        lines = self.selection.lines
        return {
            "kept": sum(line["kept"] for line in lines),
            "unanswered": sum(not line["answered"] for line in lines),
        }

    def rejected(self) -> dict[str, int]:
        """Count the samples without a pair by the kind of fault."""
        return dict(Counter(why_left_out(line) for line in self.trajectories.lines if not is_pair(line)))

    def refused(self) -> dict[str, dict[str, int]]:
        """Count the texts that did not pass by side and kind of fault; a text may have several kinds."""
        failures = [failure for line in self.trajectories.lines for failure in line["failures"]]
        return {
            side: dict(Counter(kind for each in failures if each["side"] == side for kind in kinds_of(each["reasons"])))
            for side in (CHOSEN, REJECTED)
        }


def claim(path: Path, key: Mapping[str, str]) -> None:
    """Raise a UserError for a folder that holds anything but unfinished work with the same key."""
    file = path / KEY
    if not file.exists():
        # Hidden: the lock, and what a kill left of the key.
        others = sorted(each.name for each in path.iterdir() if not each.name.startswith(".") and each.name != CRASH)
        if others:
            raise UserError(f"output={path} holds something else ({others[0]}); give another folder")
        write_whole(file, [key])
        return
    known = read_json(file)
    if not isinstance(known, dict):
        raise UserError(f"{file}: holds no JSON object; start anew in another folder")
    differing = [name for name in key if known.get(name) != key[name]]
    if differing:
        raise UserError(f"output={path} holds pairs of another {' and '.join(differing)}; give another folder")


def key_of(config: PairsConfig, samples: Sequence[Sample]) -> dict[str, str]:
    """Return digests of all that decides the bytes of the pairs."""
    teacher = TeacherConfig(url=config.rollout.teacher.url, model=config.rollout.teacher.model)
    # Left out: the places of files, the keys of other verbs and the limits of waits, which decide nothing.
    knowledge = replace(config.data.knowledge, file="")
    deciding = replace(
        config,
        output="",
        model=ModelConfig(precision=config.model.precision),
        data=replace(config.data, root="", knowledge=knowledge, lessons="", num_heldout=0, anomaly_words=[]),
        rollout=replace(config.rollout, teacher=teacher),
        cluster=ClusterConfig(num_rollout_workers=config.cluster.num_rollout_workers),
    )
    truth = [(sample.id, sample.question, asdict(replace(sample.target, mask=None, cells=None))) for sample in samples]
    return {
        "config": _digest([dump_config(deciding).encode()]),
        "data": _digest([json.dumps(truth).encode(), *_images_bytes(samples)]),
        "model": weights_name(config.model.path),
    }


def _digest(parts: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()[:16]


def _images_bytes(samples: Sequence[Sample]) -> list[bytes]:
    """Return a digest of each image, sample by sample; read an image that several samples show only once."""
    paths = list(dict.fromkeys(path for sample in samples for path in sample.images))
    digests = dict(zip(paths, in_threads(lambda path: hashlib.sha256(path.read_bytes()).digest(), paths), strict=True))
    return [digests[path] for sample in samples for path in sample.images]
