"""The split into samples to train on and samples held out for evaluation."""

import hashlib
from collections.abc import Sequence

from rl.faults import UserError
from rl.types import Sample


def split_heldout(samples: Sequence[Sample], share: float, seed: int) -> tuple[list[Sample], list[Sample]]:
    """Return (training, held out).

    The data set's own split wins; where it has none, a sample's side depends on its id and the seed alone.
    """
    training: list[Sample] = []
    heldout: list[Sample] = []
    for sample in samples:
        is_heldout = _drawn(sample.id, share, seed) if sample.heldout is None else sample.heldout
        (heldout if is_heldout else training).append(sample)
    if not (training and heldout):
        raise UserError(
            f"{len(training)} samples would be trained on and {len(heldout)} held out; add samples, or mend the data "
            f"set's own split or data.heldout_share={share}, which splits the samples that have none"
        )
    return training, heldout


def _drawn(sample_id: str, share: float, seed: int) -> bool:
    digest = hashlib.sha256(f"{seed}/{sample_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64
