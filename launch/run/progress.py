"""The progress of a run in the terminal: one live line, or a plain line now and then if there is no terminal."""

from collections import deque
from collections.abc import Collection, Mapping
from datetime import timedelta
from statistics import fmean

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Column

from rl.metrics import component_names
from rl.roles import Metrics

PLAIN_LINES = 20
"""Approximate number of plain lines of a whole run."""
WIDE = 120
"""Columns of a terminal in which a spinner and a bar fit beside the numbers."""
SHOWN = {"reward": "reward/mean"}
SHOWN_OF_LESSONS = {
    "loss": "actor/loss",
    "margin": "preference/margin/mean",
    "accuracy": "preference/accuracy/mean",
    "knowledge": "preference/knowledge_accuracy/mean",
}
"""Metrics in the line of a step, by the words that stand for them; the second table is for runs without rewards."""
RECENT_STEPS = 10
"""Number of last steps whose mean time predicts the time left."""


class RunProgress:
    """The line of the last step; `say` puts a sentence above it."""

    def __init__(self, num_steps: int, counted: Collection[str], console: Console | None = None) -> None:
        """Show those components of the reward that are in `counted`."""
        self._num_steps = num_steps
        self._counted = counted
        self._console = console or Console()
        self._recent_s: deque[float] = deque(maxlen=RECENT_STEPS)
        self._live = _live(self._console) if self._console.is_terminal else None
        self._bar = self._live.add_task("", total=num_steps, step=f"0/{num_steps}") if self._live else None

    def show(self, step: int, metrics: Metrics) -> None:
        self._recent_s.append(metrics["time/step"])
        left_s = fmean(self._recent_s) * (self._num_steps - step)
        line, count = describe(metrics, left_s, self._counted), f"{step}/{self._num_steps}"
        if self._live and self._bar is not None:
            self._live.start()
            self._live.update(self._bar, completed=step, description=line, step=count)
        elif (step - 1) % max(1, self._num_steps // PLAIN_LINES) == 0 or step == self._num_steps:
            self.say(f"step {count} · {line}")

    def say(self, sentence: str) -> None:
        self._console.print(sentence, markup=False, highlight=False, soft_wrap=True)

    def stop(self) -> None:
        if self._live:
            self._live.stop()


class ImageProgress:
    """The number of images that are done, with what came out: a bar, or lines if there is no terminal."""

    def __init__(self, num_images: int, console: Console | None = None, *, noun: str = "images") -> None:
        self._num_images = num_images
        self._noun = noun
        self._console = console or Console()
        self._next_line = 0
        columns = BarColumn(bar_width=24), MofNCompleteColumn(), TextColumn("{task.description}", markup=False)
        self._live = Progress(*columns, TimeRemainingColumn(), console=self._console, refresh_per_second=4)
        self._bar = self._live.add_task(noun, total=num_images)

    def show(self, num_done: int, counts: Mapping[str, int]) -> None:
        found = " · ".join(f"{count} {kind}" for kind, count in counts.items())
        if self._console.is_terminal:
            self._live.start()
            self._live.update(self._bar, completed=num_done, description=found)
        elif num_done >= self._next_line or num_done == self._num_images:
            self._next_line = num_done + self._num_images // PLAIN_LINES
            self.say(f"{num_done}/{self._num_images} {self._noun} · {found}")

    def say(self, sentence: str) -> None:
        self._console.print(sentence, markup=False, highlight=False, soft_wrap=True)

    def stop(self) -> None:
        if self._console.is_terminal:
            self._live.stop()


def describe(metrics: Metrics, left_s: float, counted: Collection[str]) -> str:
    """Return the reward, its components that are in `counted`, speed and time left on one line.

    >>> earned = {"reward/mean": 0.25, "reward/box/mean": 0.25, "reward/cells/mean": 0.5}
    >>> describe({**earned, "perf/tokens_per_s": 812.3}, 75, ["box"])
    'reward 0.25 · box 0.25 · 812 tok/s · 0:01:15 left'
    """
    names = component_names([metrics])
    components = {name: metrics[f"reward/{name}/mean"] for name in names if name in counted}
    shown = SHOWN if names else SHOWN | SHOWN_OF_LESSONS
    first = {word: metrics[name] for word, name in shown.items() if name in metrics}
    parts = [f"{name} {value:.2f}" for name, value in {**first, **components}.items()]
    return " · ".join([*parts, f"{metrics['perf/tokens_per_s']:.0f} tok/s", f"{timedelta(seconds=round(left_s))} left"])


def _live(console: Console) -> Progress:
    step, line = "step {task.fields[step]}", TextColumn("{task.description}", markup=False, table_column=Column())
    if console.width < WIDE:
        return Progress(TextColumn(step, markup=False), line, console=console, refresh_per_second=4)
    bar = BarColumn(bar_width=12)
    return Progress(SpinnerColumn(), TextColumn(step, markup=False), bar, line, console=console, refresh_per_second=4)
