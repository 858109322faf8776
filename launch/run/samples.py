"""The samples of a run, as its verbs read them."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from actors.config import ModelConfig
from rewards.domain import Embedder
from rl.data.config import DataConfig
from rl.data.knowledge.offers import Offer, offers, with_offers
from rl.data.reading import read_samples
from rl.data.split import split_heldout
from rl.types import Sample


def read_split(config: DataConfig, seed: int) -> tuple[list[Sample], list[Sample]]:
    """(training, held out), with the knowledge that they offer; every file has been opened once."""
    samples = read_samples(config)
    if config.knowledge.file:
        samples = with_offers(samples, config.knowledge, _vectors)
    return split_heldout(samples, config.heldout_share, seed)


def offers_of(samples: list[Sample], config: DataConfig) -> list[Offer]:
    """The entries behind the knowledge that the samples offer."""
    return offers(samples, config.knowledge, _vectors)


def with_absolute_path(model: ModelConfig) -> ModelConfig:
    """Actors of a cluster that was there before run in other folders than this process; a hub id stays as it is."""
    return replace(model, path=str(Path(model.path).resolve())) if Path(model.path).is_dir() else model


def _vectors(texts: Sequence[str]) -> np.ndarray:
    return _encoder().encode(texts)


@cache
def _encoder() -> Embedder:
    """Takes seconds to load."""
    return Embedder()
