"""A run in TensorBoard: event files in the run folder with the scalars of metrics.jsonl."""

import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from rl.roles import Metrics

FOLDER = "tensorboard"
NO_SCALARS = ("step", "time_s")
"""Entries of a row that are the place and the time of the others."""
FLUSH_S = 10


class TensorboardRun:
    """The event files of a run, which show what metrics.jsonl holds."""

    def __init__(self, folder: Path, rows: Sequence[Metrics]) -> None:
        """Write what the run has recorded already, in place of older files: they may tell of steps that it repeats."""
        from torch.utils.tensorboard import SummaryWriter

        events = folder / FOLDER
        if events.exists():
            shutil.rmtree(events)
        self._writer = SummaryWriter(str(events), flush_secs=FLUSH_S)
        self._began = time.time() - (rows[-1]["time_s"] if rows else 0.0)
        for row in rows:
            self.log(row)

    def log(self, row: Metrics) -> None:
        """Record a row of metrics.jsonl, at its step and its second."""
        for name, value in row.items():
            if name not in NO_SCALARS:
                self._writer.add_scalar(name, value, int(row["step"]), walltime=self._began + row["time_s"])

    def close(self) -> None:
        self._writer.close()
