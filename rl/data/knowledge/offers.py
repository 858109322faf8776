"""Questions that offer knowledge: the right piece of it among deceptive ones (DCR²-AD)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from rl.data.config import Choice, KnowledgeConfig
from rl.data.knowledge.entries import (
    GOOD,
    Entry,
    entry_of,
    nearest,
    object_agnostic,
    offered,
    read_mmad,
    read_yaml,
    uniform,
    with_knowledge,
)
from rl.faults import UserError
from rl.types import NORMAL, Sample

Embed = Callable[[Sequence[str]], np.ndarray]
"""Return a vector for each text, [texts, dimension]."""
BY_SUFFIX = {".json": read_mmad, ".yaml": read_yaml, ".yml": read_yaml}
"""Function that reads a file of knowledge, by the file's suffix."""


@dataclass(frozen=True, kw_only=True)
class Offer:
    """The knowledge that a sample's question offers."""

    right: Entry
    wrong: tuple[Entry, ...]
    """Wrong entries, the nearest in meaning to the right one first, or in random order."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the entries, the right one's first."""
        return tuple(entry.name for entry in (self.right, *self.wrong))


def with_offers(samples: Sequence[Sample], config: KnowledgeConfig, embed: Embed) -> list[Sample]:
    """Return the samples with knowledge after their questions, and its right entry in their targets."""
    return [_with_offer(sample, offer) for sample, offer in zip(samples, offers(samples, config, embed), strict=True)]


def offers(samples: Sequence[Sample], config: KnowledgeConfig, embed: Embed) -> list[Offer]:
    """Return the knowledge that each sample's question offers; with_offers writes it into the questions."""
    entries = read_knowledge(config)
    vectors = embed([entry.text for entry in entries]) if config.wrong is Choice.deceptive else None
    return [_offer(sample, entries, vectors, config) for sample in samples]


def read_knowledge(config: KnowledgeConfig) -> list[Entry]:
    """Return the entries of the file, MMAD's JSON or YAML by its suffix."""
    path = Path(config.file)
    if path.suffix not in BY_SUFFIX:
        raise UserError(f"data.knowledge.file={path} must end in {', '.join(BY_SUFFIX)}, which says how to read it")
    entries = BY_SUFFIX[path.suffix](path)
    return object_agnostic(entries) if config.object_agnostic else entries


def _offer(sample: Sample, entries: Sequence[Entry], vectors: np.ndarray | None, config: KnowledgeConfig) -> Offer:
    right = entry_of(entries, sample.category, kind_of(sample))
    if vectors is None:
        wrong = uniform(entries, right, config.num_wrong, sample.id)
    else:
        wrong = nearest(vectors[entries.index(right)], vectors, entries, right, config.num_wrong)
    return Offer(right=right, wrong=tuple(wrong))


def _with_offer(sample: Sample, offer: Offer) -> Sample:
    return replace(
        sample,
        question=with_knowledge(sample.question, offered(offer.right, offer.wrong, sample.id)),
        target=replace(sample.target, knowledge=offer.right.text, offered=offer.names),
    )


def kind_of(sample: Sample) -> str:
    """Return the kind of defect whose entry is the right one; a UserError if the sample has none or several."""
    target = sample.target
    if target.label == NORMAL:
        return GOOD
    kinds = {*target.box_labels} or ({target.options[target.option]} if target.option else set())
    if len(kinds) != 1:
        raise UserError(
            f"sample {sample.id}: its defect is {' and '.join(sorted(kinds)) or 'of no known kind'}, so that no entry "
            "of data.knowledge.file is the right one; leave the sample out"
        )
    return kinds.pop()
