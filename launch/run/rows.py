"""The rows of metrics.jsonl, each with a digest of itself and of all rows before it."""

import json
import math
import os
from dataclasses import dataclass
from pathlib import Path

from launch.run.folder import METRICS
from rl.chained import MARK, linked, unlinked
from rl.faults import UserError, of_file
from rl.roles import Metrics


@dataclass(frozen=True, kw_only=True)
class Rows:
    """The rows of a file or of its beginning."""

    rows: list[Metrics]
    chain: str
    """Digest of all rows, which the last one holds; "" if there is none."""


@dataclass(frozen=True, kw_only=True)
class Written:
    """The state of metrics.jsonl at some point."""

    num_bytes: int
    chain: str
    """Digest of all rows until then; "" if there was none."""


class RowWriter:
    """The writer of metrics.jsonl; it goes on after the rows that are there."""

    def __init__(self, folder: Path, before: Rows) -> None:
        self.chain = before.chain
        """Digest of all rows so far."""
        self._path = folder / METRICS
        self._file = self._path.open("a", encoding="utf-8")

    def write(self, row: Metrics) -> None:
        told = json.dumps({name: value if math.isfinite(value) else None for name, value in row.items()})
        line, self.chain = linked(told, self.chain)
        with of_file(self._path):
            self._file.write(f"{line}\n")
            self._file.flush()

    @property
    def num_bytes(self) -> int:
        return self._file.tell()

    def sync(self) -> None:
        """Return once all rows are safe on the disk."""
        with of_file(self._path):
            os.fsync(self._file.fileno())

    def close(self) -> None:
        with of_file(self._path):
            self._file.close()


def read_rows(folder: Path, num_bytes: int | None = None) -> Rows:
    """Read metrics.jsonl or its first bytes; raise a UserError for a row that is not what was written.

    A last line without a line break is left out: a killed run has not finished it. Runs of version 0.1 have no digests.
    """
    path = folder / METRICS
    content = path.read_bytes()[:num_bytes] if path.exists() else b""
    rows, chain = [], ""
    for number, line in enumerate(content.decode("utf-8", "replace").split("\n")[:-1], start=1):
        where = f"{path}: line {number}"
        try:
            told, chain = unlinked(line, chain) if MARK in line or chain else (line, "")
        except ValueError as error:
            raise UserError(
                f"{where}: {error}; bring the file back, or begin a new run with the weights of a checkpoint, "
                "model=RUN/checkpoints/step_N"
            ) from error
        rows.append(_row(told, where))
    return Rows(rows=rows, chain=chain)


def _row(text: str, where: str) -> Metrics:
    try:
        row = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where} is not JSON ({error}); bring the file back") from error
    numbers = int | float | None
    if not isinstance(row, dict) or "step" not in row or not all(isinstance(value, numbers) for value in row.values()):
        raise UserError(f"{where} is no row of metrics, numbers by name; bring the file back")
    return {name: math.nan if value is None else value for name, value in row.items()}
