"""The checkpoints of a run: written when they are due, removed when they are not to be kept."""

from math import isfinite, nan
from pathlib import Path
from typing import Any, Protocol

from launch.run.answers import BENCHMARK, answers_file
from launch.run.place import Place
from launch.run.rows import Written
from launch.run.space import check_room
from rl.checkpoints import (
    CheckpointConfig,
    Progress,
    Record,
    checkpoint_folder,
    remove,
    step_folders,
    surplus,
)
from rl.evaluation.kept_maps import maps_file
from rl.roles import Metrics
from rl.seals import Seal, seal_all


class Saver(Protocol):
    async def save(self, folder: Path, record: Record) -> None:
        """Take the learners' state of this moment, to be written while training goes on."""

    async def finish_saving(self) -> None:
        """Wait until the state is written."""

    async def checkpoint_bytes(self) -> int:
        """Return the size of a checkpoint."""


class Recorder(Protocol):
    rows: list[Metrics]

    def synced_metrics(self) -> Written: ...

    @property
    def wandb_id(self) -> str: ...


class RunArchive:
    """Plays rl.roles.Archive."""

    def __init__(
        self,
        place: Place,
        config: CheckpointConfig,
        saver: Saver,
        recorder: Recorder,
        *,
        facts: dict[str, Any],
        steps: range,
    ) -> None:
        self._place, self._config, self._saver, self._recorder = place, config, saver, recorder
        self._folder = place.folder
        self._facts = facts
        """Fields epoch, data_hash and config of every Record."""
        self._num_steps = steps.stop
        self._kept = steps.start
        """Step of the last checkpoint."""

    async def open(self) -> None:
        """Raise a RunFailure if there is no room for a checkpoint."""
        check_room(self._folder, await self._saver.checkpoint_bytes())

    async def keep(self, progress: Progress, *, now: bool = False) -> None:
        if progress.step == self._kept or not (now or self._is_due(progress.step)):
            return
        self._place.check()
        # The last one counts as room that is taken, and may replace others, once it is written.
        await self._saver.finish_saving()
        self._prune()
        await self.open()
        (self._folder / "checkpoints").mkdir(exist_ok=True)
        written = self._recorder.synced_metrics()
        record = Record(
            progress=progress,
            policy_version=progress.step,
            metrics_bytes=written.num_bytes,
            metrics_chain=written.chain,
            wandb_id=self._recorder.wandb_id,
            beside=self._beside(),
            **self._facts,
        )
        await self._saver.save(checkpoint_folder(self._folder, progress.step), record)
        self._kept = progress.step

    async def close(self) -> None:
        """Wait for the last checkpoint."""
        await self._saver.finish_saving()
        self._place.check()
        self._prune()

    def _beside(self) -> dict[str, Seal]:
        first = answers_file(self._folder, BENCHMARK, 0), maps_file(self._folder, 0)
        return seal_all(self._folder, [path for path in first if path.exists()])

    def _is_due(self, step: int) -> bool:
        return step == self._num_steps or (self._config.every > 0 and step % self._config.every == 0)

    def _prune(self) -> None:
        for folder in surplus(step_folders(self._folder), self._scores(), self._config):
            remove(folder)

    def _scores(self) -> dict[int, float]:
        name = self._config.best_metric
        return {int(row["step"]): row[name] for row in self._recorder.rows if isfinite(row.get(name, nan))}
