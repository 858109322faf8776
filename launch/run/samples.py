"""The samples of a run, as `assay train` and `assay pairs` read them."""

from collections.abc import Sequence
from functools import cache

import numpy as np

from rewards.domain import Embedder
from rl.data.config import DataConfig
from rl.data.knowledge.offers import Offer, offers, with_offers
from rl.data.reading import read_samples
from rl.data.split import split_heldout
from rl.types import Sample


def read_split(config: DataConfig, seed: int) -> tuple[list[Sample], list[Sample]]:
    """Return (training, held out) samples with the knowledge that they offer; open every file once."""
    samples = read_samples(config)
    if config.knowledge.file:
        samples = with_offers(samples, config.knowledge, _vectors)
    return split_heldout(samples, config.heldout_share, seed)


def offers_of(samples: list[Sample], config: DataConfig) -> list[Offer]:
    """Return the entries behind the knowledge that the samples offer."""
    return offers(samples, config.knowledge, _vectors)


def _vectors(texts: Sequence[str]) -> np.ndarray:
    return _encoder().encode(texts)


@cache
def _encoder() -> Embedder:
    """Load the encoder, which takes seconds."""
    return Embedder()
