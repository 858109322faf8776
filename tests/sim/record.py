"""The record of a life, put together as launch.train.run.Training does it."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from launch.run.answers import BENCHMARK, answers_file, read_answers
from launch.run.ending import End, each_done
from launch.run.folder import write_json
from launch.run.members import SUMMARY
from launch.run.place import Place
from launch.run.resume import how_to_resume
from launch.run.tracking import Plan as Facts
from launch.run.tracking import Resumed, RunTracker
from rl.checkpoints import Checkpoint
from rl.evaluation.metrics import Evaluation
from rl.faults import RunFailure
from rl.roles import Metrics
from rl.timing import Timings
from rl.types import Group
from sim import nature
from sim.straight import KNOWN_WARNING

if TYPE_CHECKING:
    from sim.lives import Life


class Run:
    """The record of a life; plays EndingRun and rl.roles.Tracker as launch.train.run.Training does."""

    def __init__(self, folder: Path, logging: Any, start: Checkpoint | None, epoch: int, life: "Life") -> None:
        self.place, self.start, self.epoch, self.brake = Place(folder), start, epoch, life.world.brake
        self._life, self._timings, self._since = life, Timings(), 0.0
        plan = Facts(num_steps=life.typed.num_steps, config={}, ranges=nature.RANGES, warnings=[KNOWN_WARNING])
        self.tracker = RunTracker(folder, logging, plan, self._timings, self._resumed())

    def _resumed(self) -> Resumed | None:
        if self.start is None:
            return None
        first = answers_file(self.folder, BENCHMARK, 0)
        heldout = [prompt.sample for prompt in self._life.straight.heldout.values()]
        groups = read_answers(first, heldout) if first.exists() else []
        return Resumed(wandb_id="", evaluations=(Evaluation(step=0, groups=tuple(groups)),) if groups else ())

    @property
    def folder(self) -> Path:
        return self.place.folder

    @property
    def last_step(self) -> int:
        return self.tracker.last_step

    @property
    def _made_steps(self) -> bool:
        return self.last_step > self._life.first_step

    def how_far(self) -> str:
        return f"after step {self.last_step}"

    def how_to_go_on(self, error: Exception) -> str:
        may_help = self._made_steps or isinstance(error, RunFailure | OSError)
        return how_to_resume(self.folder, self.start, made_steps=self._made_steps) if may_help else ""

    def record(self, end: End) -> dict[str, Any]:
        summary = {"steps": sum("time/step" in row for row in self.tracker.rows)} | end.entry
        if not end.is_lost:
            each_done(
                lambda: write_json(self.folder / SUMMARY, summary),
                lambda: self.tracker.finish(summary, end),
            )
        return summary

    def begin(self) -> None:
        self.tracker.begin()

    def log(self, step: int, groups: list[Group], report: Metrics) -> None:
        """Record a step, and check that its seconds are those since the last record."""
        self.place.check()
        self.tracker.log(step, groups, report)
        now, since = self._life.clock.now, max(self._since, self._life.world.ready_at or 0.0)
        if abs(self.tracker.rows[-1]["time/step"] - (now - since)) > 1e-6:
            self._life.trace.wrong(f"step {step} took {self.tracker.rows[-1]['time/step']} s, not {now - since}")
        self._since = now

    def log_evaluation(self, step: int, groups: list[Group]) -> None:
        self.place.check()
        self.tracker.log_evaluation(step, groups)
        self._timings.drain()
        self._since = self._life.clock.now
