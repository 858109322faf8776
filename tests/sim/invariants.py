"""What must hold of the files of a run, whatever befell it: its checkpoints, its metrics, its answers."""

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

from launch.run.answers import BENCHMARK, answers_file
from launch.run.folder import METRICS
from rl.checkpoints import FOLDER, RECORD, Checkpoint
from rl.epochs import EPOCHS
from sim.straight import Row, Straight, without_times
from sim.trace import Trace

DATA_HASH = "data"


class Ledger:
    """The checkpoints that are on the disk by right, compared with those that are there."""

    def __init__(self, straight: Straight, trace: Trace) -> None:
        self.whole: dict[Path, set[int]] = defaultdict(set)
        """Steps of the whole checkpoints of a run folder."""
        self.damaged: dict[Path, set[int]] = defaultdict(set)
        """Steps of those that were damaged and are not set aside yet."""
        self.told: dict[Path, set[int]] = defaultdict(set)
        """Steps of whole checkpoints of which the learners said that they are written."""
        self.committed: list[int] = []
        """Steps of the checkpoints that the present life committed, in order."""
        self.epochs: dict[Path, list[int]] = defaultdict(list)
        self.horizons: set[int] = set()
        """num_steps of all lives so far."""
        self.has_lost_power = False
        self._records: dict[Path, bytes] = {}
        """run.json of each checkpoint when it was committed."""
        self._straight, self._plan, self._trace = straight, straight.plan, trace

    def newest(self, run: Path) -> int | None:
        return max(self.whole[run], default=None)

    def begin_life(self, num_steps: int) -> None:
        self.committed = []
        self.horizons.add(num_steps)

    def renaming(self, source: Path, target: Path) -> None:
        """Check the removal of a checkpoint, which begins with a renaming."""
        step, run = _step(source), source.parent.parent
        if step is None:
            return
        if target.name.endswith(".removed"):
            self._check_removal(run, step)
        elif step in self.whole[run]:
            self._trace.wrong(f"the whole checkpoint {source.name} was set aside")
        self._trace.note(f"{source.name} becomes {target.name}")
        self.whole[run].discard(step)
        self.told[run].discard(step)

    def renamed(self, source: Path, target: Path) -> None:
        """Check a checkpoint that has just got its name."""
        step, run = _step(target), target.parent.parent
        if step is None or source.exists() or not target.exists():
            return
        self._trace.note(f"committed {target.name}")
        self.committed.append(step)
        self.whole[run].add(step)
        self._check_content(target, step)
        self._check_record(target, step)
        self._records[target] = (target / RECORD).read_bytes()
        limit = self._plan.checkpoint.keep_last + self._plan.checkpoint.keep_best + 2
        if len(steps_on_disk(run)) > limit and not self.has_lost_power:
            self._trace.wrong(f"there are {len(steps_on_disk(run))} checkpoints, more than {limit}")

    def surplus(self, run: Path) -> set[int]:
        """Return the checkpoints that are neither among the newest nor among the best."""
        steps = steps_on_disk(run)
        newest = steps[-self._plan.checkpoint.keep_last :]
        return set(steps) - {*newest, *self._straight.best(steps, rows_on_disk(run))}

    def check_present(self, run: Path) -> None:
        """Check that each checkpoint is there."""
        self._refuse_loss(self.whole[run] - set(steps_on_disk(run)))

    def check_after_loss(self, run: Path) -> None:
        """Check what a power loss has left: it may take or bring back what was not yet safe."""
        self.has_lost_power = True
        self._refuse_loss({step for step in self.told[run] if not self._is_whole(run, step)})
        there = set(steps_on_disk(run)) - self.damaged[run]
        self.whole[run] = {step for step in there if self._is_whole(run, step)}
        newest = max(self.whole[run], default=0)
        self.damaged[run] = {step for step in steps_on_disk(run) if step > newest}

    def _refuse_loss(self, lost: set[int]) -> None:
        if lost:
            self._trace.wrong(f"checkpoints {sorted(lost)} are lost")

    def _is_whole(self, run: Path, step: int) -> bool:
        """Return True if a checkpoint is as it was when it was committed."""
        folder = run / FOLDER / f"step_{step}"
        written = (folder / RECORD).read_bytes() if (folder / RECORD).exists() else b""
        return written == self._records.get(folder) and not self._content_fault(folder, step)

    def check_start(self, source: Path, start: Checkpoint | None) -> None:
        """Check that the run goes on from the newest whole checkpoint of `source`."""
        step, wanted = start.record.progress.step if start else None, self.newest(source)
        self._trace.note(f"starts from {'nothing' if step is None else f'step {step}'}")
        if step != wanted:
            self._trace.wrong(f"it starts from step {step}, not from {wanted}")

    def check_prepared(self, run: Path, start: Checkpoint | None, num_steps: int, epoch: int) -> None:
        """Check that the folder holds what was recorded at the start, and nothing later."""
        step = start.record.progress.step if start else 0
        self._compare_rows(run, self._straight.rows_until(step, num_steps), exactly=True)
        names = sorted(path.name for path in (run / FOLDER).glob("*"))
        # What cannot be deleted has lost its name, and stays until the next start.
        may_stay = ".removed" if self._trace.has_fired("full", "io") else "/"
        hidden = [name for name in names if name.startswith(".") and not name.endswith(may_stay)]
        stale = hidden + [name for name in names if name[5:].isdigit() and int(name[5:]) > step]
        if stale:
            self._trace.wrong(f"{', '.join(stale)} is still there when the run goes on from step {step}")
        if start and start.folder.parent.parent == run:
            self._check_set_aside(run, names)
        if (run / "summary.json").exists():
            self._trace.wrong("the summary of the last life is still there")
        if epoch in self.epochs[run] and not self.has_lost_power:
            self._trace.wrong(f"epoch {epoch} was claimed twice")
        self.epochs[run].append(epoch)

    def check_rows(self, run: Path, num_steps: int, *, exactly: bool) -> None:
        """Check metrics.jsonl: all rows of the straight run, or the first of them."""
        wanted = [self._straight.rows(horizon) for horizon in self.horizons]
        rows = _compared(rows_on_disk(run))
        if exactly or not any(rows == whole[: len(rows)] for whole in wanted):
            self._compare_rows(run, self._straight.rows(num_steps), exactly=exactly)
        times = [row["time_s"] for row in rows_on_disk(run)]
        if times != sorted(times):
            self._trace.wrong(f"the times of the rows do not rise: {times}")

    def check_answers(self, run: Path, num_steps: int, first: int) -> None:
        """Check the files of held-out answers that are due from step `first` on."""
        for step in self._straight.exams(num_steps):
            file = answers_file(run, BENCHMARK, step)
            wanted = [group.completions[0].text for group in self._straight.examined(step)]
            if step >= first and (not file.exists() or wanted != _told(file, "completion")):
                self._trace.wrong(f"{file.name} does not hold the answers of the straight run")

    def check_commits(self, first: int, num_steps: int) -> None:
        """Check that a life that came to its end committed what was due."""
        due = [step for step in range(first + 1, num_steps + 1) if self._plan.is_due(step, num_steps)]
        if self.committed != due:
            self._trace.wrong(f"checkpoints {self.committed} were committed, not {due}")

    def _check_removal(self, run: Path, step: int) -> None:
        steps = steps_on_disk(run)
        newest = steps[-self._plan.checkpoint.keep_last :]
        best = self._straight.best(steps, rows_on_disk(run))
        if step in self.whole[run] and (step in newest or step in best):
            self._trace.wrong(f"step_{step} is removed, though {newest} are the newest and {sorted(best)} the best")

    def _check_content(self, folder: Path, step: int) -> None:
        fault = self._content_fault(folder, step)
        if fault:
            self._trace.wrong(f"{folder.name}: {fault}")

    def _content_fault(self, folder: Path, step: int) -> str:
        """Say what is wrong with the weights in a checkpoint."""
        files = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
        texts = {name: path.read_text() for name, path in files.items() if name != RECORD}
        weights = self._straight.weights[step]
        _, _, num_ranks, *_ = [*texts.get("hf/model", "").split(), "0", "0", "0"]
        if set(texts) != {"hf/model"} | {f"state/rank_{rank}" for rank in range(int(num_ranks))}:
            return f"it holds {sorted(texts)}"
        whole = f"{weights.step} {weights.chain} {num_ranks}\n" * 2
        wrong = [name for name, text in texts.items() if text != whole]
        return f"{wrong[0]} is {texts[wrong[0]]!r}, not {whole!r}" if wrong else ""

    def _check_record(self, folder: Path, step: int) -> None:
        record, run = json.loads((folder / RECORD).read_text()), folder.parent.parent
        wanted: Row = {
            "progress": {"step": step, "position": self._straight.positions[step]},
            "policy_version": step,
            "data_hash": DATA_HASH,
            "config": facts(self._plan.seed),
            "epoch": max(int(path.name) for path in (run / EPOCHS).iterdir()),
        }
        told = {name: record[name] for name in wanted}
        if told != wanted:
            self._trace.wrong(f"the record of {folder.name} says {told}, not {wanted}")
        rows = _compared(_rows((run / METRICS).read_bytes()[: record["metrics_bytes"]]))
        if rows not in [self._straight.rows_until(step, horizon) for horizon in self.horizons if horizon >= step]:
            self._trace.wrong(f"the record of {folder.name} ends the metrics after {len(rows)} rows")

    def _check_set_aside(self, run: Path, names: list[str]) -> None:
        for step in self.damaged.pop(run, ()):
            if f"step_{step}.damaged" not in names:
                self._trace.wrong(f"the damaged step_{step} was not set aside")

    def _compare_rows(self, run: Path, wanted: list[Row], *, exactly: bool) -> None:
        rows = _compared(rows_on_disk(run))
        for number, (row, other) in enumerate(zip(rows, wanted, strict=False), start=1):
            differing = [name for name in row | other if row.get(name) != other.get(name)]
            if differing:
                name = differing[0]
                self._trace.wrong(
                    f"row {number}, of step {row['step']}: {name} is {row.get(name)}, not {other.get(name)}"
                )
                return
        if len(rows) > len(wanted) or exactly and len(rows) != len(wanted):
            self._trace.wrong(f"there are {len(rows)} rows, not {len(wanted)}")


def facts(seed: int) -> dict[str, Any]:
    """Return the config in the records of a run."""
    return {"seed": seed, "model": {"path": "model"}}


def steps_on_disk(run: Path) -> list[int]:
    return sorted(step for path in (run / FOLDER).glob("step_*") if (step := _step(path)) is not None)


def rows_on_disk(run: Path) -> list[Row]:
    """Return the whole rows of metrics.jsonl."""
    file = run / METRICS
    return _rows(file.read_bytes()) if file.exists() else []


def _rows(content: bytes) -> list[Row]:
    return [json.loads(line) for line in content.split(b"\n")[:-1]]


def _compared(rows: list[Row]) -> list[Row]:
    return [without_times(row) for row in rows]


def _told(file: Path, name: str) -> list[Any]:
    return [json.loads(line)[name] for line in file.read_text().splitlines()]


def _step(folder: Path) -> int | None:
    """Return the step of a checkpoint's folder; None for any other path."""
    number = folder.name.removeprefix("step_")
    return int(number) if number != folder.name and number.isdigit() else None
