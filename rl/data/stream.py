"""The endless, seeded order in which training sees its samples."""

import random
from collections.abc import Sequence

from rl.types import Sample


class SampleStream:
    """Shuffles the samples anew each epoch; its order depends on the seed and the position alone."""

    def __init__(self, samples: Sequence[Sample], seed: int, position: int = 0) -> None:
        self.samples = tuple(samples)
        self._seed = seed
        self._epoch = -1
        self._order: list[int] = []
        self.position = position
        """Number of samples taken so far, including those of the runs that this one goes on from."""

    def take(self, count: int) -> list[Sample]:
        """Return the next samples and advance the position."""
        taken = [self._at(self.position + offset) for offset in range(count)]
        self.position += count
        return taken

    def _at(self, position: int) -> Sample:
        epoch, offset = divmod(position, len(self.samples))
        if epoch != self._epoch:
            self._epoch, self._order = epoch, self._shuffled(epoch)
        return self.samples[self._order[offset]]

    def _shuffled(self, epoch: int) -> list[int]:
        order = list(range(len(self.samples)))
        random.Random(f"{self._seed}/{epoch}").shuffle(order)
        return order
