"""The truth about photos, where masks or the names of folders tell it, and how well predictions agree with it."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from launch.predict.predictions import Prediction
from rl.data.photos import Photo
from rl.data.readers.mvtec import GOOD
from rl.evaluation.verdicts import VERDICTS, accuracy, auroc, confusion
from rl.types import DEFECTIVE, NORMAL

MOST_NAMES = 4
"""Folders of defects that the sentence about the truth names."""


@dataclass(frozen=True, kw_only=True)
class Truth:
    """The labels of photos; the defaults are for photos of which nothing is known."""

    labels: Mapping[str, str] = field(default_factory=dict)
    """Label, normal or defective, by the id of each photo whose label is known."""
    source: str = ""
    """Source of the labels, "masks" or "folders"; "" if none is known."""
    sentence: str = ""
    """Explanation of the source."""


def truth_of(photos: Sequence[Photo], empty_masks: Collection[Path]) -> Truth:
    """Return the labels that the photos' masks give or, without masks, the names of their folders."""
    return truth_by_masks(photos, empty_masks) if any(photo.mask for photo in photos) else truth_by_folders(photos)


def truth_by_masks(photos: Sequence[Photo], empty_masks: Collection[Path]) -> Truth:
    """Label as normal each photo without a mask, or with one that marks no pixel."""
    marked = {photo.id for photo in photos if photo.mask and photo.mask not in empty_masks}
    return Truth(
        labels={photo.id: DEFECTIVE if photo.id in marked else NORMAL for photo in photos},
        source="masks",
        sentence="The masks tell the truth: an image without a mask, or with an empty one, is free of defects.",
    )


def truth_by_folders(photos: Sequence[Photo]) -> Truth:
    """Label photos by the names of their folders as MVTec-AD does, where a folder `good` lies beside others."""
    kinds: defaultdict[Path, set[str]] = defaultdict(set)
    for photo in photos:
        kinds[photo.path.parent.parent].add(photo.path.parent.name)
    telling = {parent: names - {GOOD} for parent, names in kinds.items() if GOOD in names and len(names) > 1}
    labels = {
        photo.id: NORMAL if photo.path.parent.name == GOOD else DEFECTIVE
        for photo in photos
        if photo.path.parent.parent in telling
    }
    if not labels:
        return Truth()
    defects = sorted(set().union(*telling.values()))
    named = ", ".join(defects[:MOST_NAMES]) + (" and others" if len(defects) > MOST_NAMES else "")
    sentence = f"The folders' names tell the truth: images in {GOOD} are free of defects, those in {named} have one."
    return Truth(labels=labels, source="folders", sentence=sentence)


def counts_by_truth(predictions: Sequence[Prediction]) -> dict[str, dict[str, int]]:
    """Count the inspected images by their true label and, within it, by what the model says, one of VERDICTS."""
    found = confusion(truths_and_answers(predictions))
    return {truth: {said: found.counts[truth, said] for said in VERDICTS} for truth in (DEFECTIVE, NORMAL)}


def image_metrics(predictions: Sequence[Prediction]) -> dict[str, float]:
    """Return image_accuracy and image_auroc over the inspected images whose truth is known, where defined.

    An unreadable answer is wrong. AUROC needs images of both labels.
    """
    known = truths_and_answers(predictions)
    if not known:
        return {}
    metrics = {"image_accuracy": accuracy(known)}
    defective, normal = ([each.score for each in predictions if each.truth == label] for label in (DEFECTIVE, NORMAL))
    return metrics | ({"image_auroc": auroc(defective, normal)} if defective and normal else {})


def truths_and_answers(predictions: Sequence[Prediction]) -> list[tuple[str, str]]:
    """Return (label, what the model says) of each image whose label is known."""
    return [(each.truth, each.kind) for each in predictions if each.truth]
