"""The record of a run: metrics.jsonl, the terminal, W&B, TensorBoard, and held-out answers in samples/."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from actors.peers import counted
from launch.run.answers import BENCHMARK, answers_file, write_answers
from launch.run.ending import End, each_done
from launch.run.progress import RunProgress
from launch.run.rows import Rows, RowWriter, Written, read_rows
from launch.run.tensorboard_run import TensorboardRun
from launch.run.wandb_run import Listing, WandbRun
from rl.alarms import Range, Watch
from rl.evaluation.config import Backend, LoggingConfig
from rl.evaluation.kept_maps import kept_groups, maps_file, write_maps
from rl.evaluation.localization import localization_metrics
from rl.evaluation.metrics import Evaluation, evaluation_metrics
from rl.metrics import staleness, step_metrics
from rl.roles import Metrics
from rl.timing import Timings
from rl.types import Group

SAID = ("accuracy", "mean_iou", "knowledge", "pixel_auroc", "reward")
"""Metrics in the line of an evaluation, as far as they are defined."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Facts that are known of a run before its first step."""

    num_steps: int
    title: str = ""
    """Experiment and overrides, the run's name in W&B; "" for the name of the run folder."""
    tags: tuple[str, ...] = ()
    """Tags of the run in W&B."""
    config: Mapping[str, Any]
    """The config that W&B shows."""
    ranges: Mapping[str, Range | None]
    """Lowest and highest value of each reward component that counts; None if it is not known."""
    warnings: Sequence[str] = ()
    """Sentences on what the data or the model cannot do."""
    resize: str = "bilinear"
    """Method by which a map of where the policy looks is enlarged to its image."""
    notices: Mapping[int, str] = field(default_factory=dict)
    """Sentences to say once a step is done, by the step."""


@dataclass(frozen=True, kw_only=True)
class Resumed:
    """The record, apart from metrics.jsonl, of a run that goes on."""

    wandb_id: str
    evaluations: tuple[Evaluation, ...]


class RunTracker:
    """Plays rl.roles.Tracker: every step and evaluation is a row of metrics.jsonl, a line in the terminal, and a
    point in W&B and TensorBoard."""

    def __init__(
        self,
        folder: Path,
        config: LoggingConfig,
        plan: Plan,
        timings: Timings,
        resumed: Resumed | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        before = read_rows(folder) if resumed else Rows(rows=[], chain="")
        self.rows: list[Metrics] = before.rows
        """The rows of metrics.jsonl."""
        self.evaluations: list[Evaluation] = list(resumed.evaluations) if resumed else []
        """The first and the latest evaluation, for the report; samples/ has all."""
        self._watch = Watch(plan.ranges, plan.warnings)
        for row in self.rows:
            self._watch.see(row)
        self._timings = timings
        self._resize, self._notices = plan.resize, plan.notices
        self._samples_every = config.samples_every
        self._started_at = time.perf_counter() - (self.rows[-1]["time_s"] if self.rows else 0.0)
        self._folder = folder
        self._file = RowWriter(folder, before)
        self._written = Written(num_bytes=self._file.num_bytes, chain=before.chain)
        self._progress = RunProgress(plan.num_steps, plan.ranges)
        listing = Listing(name=plan.title, tags=plan.tags, config=dict(plan.config))
        self._wandb = WandbRun(folder, config, listing, self.say, resumed.wandb_id if resumed else "")
        self._tensorboard = TensorboardRun(folder, self.rows) if Backend.tensorboard in config.backends else None
        self._warn(plan.warnings)

    @property
    def wandb_id(self) -> str:
        return self._wandb.id

    def synced_metrics(self) -> Written:
        """Return what metrics.jsonl held after the last training step, once it is safe on the disk."""
        self._file.sync()
        return self._written

    @property
    def last_step(self) -> int:
        return int(self.rows[-1]["step"]) if self.rows else 0

    @property
    def warnings(self) -> list[str]:
        """Warnings about the run, the oldest first."""
        return self._watch.warnings

    def say(self, sentence: str) -> None:
        self._progress.say(sentence)

    @property
    def seconds(self) -> float:
        """Return the seconds of the run so far, those before it was resumed included."""
        return time.perf_counter() - self._started_at

    def begin(self) -> None:
        self._timings.drain()

    def log(self, step: int, groups: Sequence[Group], report: Metrics) -> None:
        metrics = step_metrics(groups, report, self._timings.drain()) | staleness(step, groups)
        self._record(step, metrics)
        self._written = Written(num_bytes=self._file.num_bytes, chain=self._file.chain)
        self._progress.show(step, metrics)
        if step in self._notices:
            self.say(self._notices[step])
        if self._samples_every and step % self._samples_every == 0:
            self._wandb.log_samples(step, "samples", groups)

    def log_evaluation(self, step: int, groups: Sequence[Group]) -> None:
        """Record the metrics and keep the groups for the report."""
        metrics = evaluation_metrics(groups) | localization_metrics(groups, self._resize)
        write_answers(answers_file(self._folder, BENCHMARK, step), groups)
        kept = kept_groups(groups)
        if kept:
            write_maps(maps_file(self._folder, step), kept)
        self._record(step, {f"eval/{BENCHMARK}/{name}": value for name, value in metrics.items()})
        self.evaluations = [*self.evaluations[:1], Evaluation(step=step, groups=tuple(map(_light, groups)))]
        shown = " · ".join(f"{name} {metrics[name]:.3f}" for name in SAID if name in metrics)
        self.say(f"held-out after {counted(step, 'step')}: {shown} ({len(groups)} samples)")
        if self._samples_every:
            self._wandb.log_samples(step, f"eval/{BENCHMARK}/answers", groups)
            if kept:
                self._wandb.log_maps(step, f"eval/{BENCHMARK}/maps", kept, self._resize)

    def finish(self, summary: dict[str, Any], end: End) -> None:
        """End the live line, the file and the W&B run."""
        self._progress.stop()
        pages = [self._tensorboard.close] if self._tensorboard else []
        each_done(self._file.close, *pages, lambda: self._wandb.finish(summary, end))

    def _record(self, step: int, metrics: Metrics) -> None:
        row = {"step": step, "time_s": round(self.seconds, 3), **metrics}
        fresh = self._watch.see(row)
        row["warnings"] = float(len(self.warnings))
        self.rows.append(row)
        self._file.write(row)
        self._wandb.log(step, metrics | {"warnings": row["warnings"]})
        if self._tensorboard:
            self._tensorboard.log(row)
        self._warn(fresh)

    def _warn(self, sentences: Sequence[str]) -> None:
        for sentence in sentences:
            self.say(f"warning: {sentence}")
            self._wandb.warn(sentence)


def _light(group: Group) -> Group:
    """Return the group without pixels and maps, which are large and no longer needed."""
    looks = tuple(replace(look, maps=None) for look in group.looks)
    return replace(group, prompt=replace(group.prompt, pixels=None), looks=looks)
