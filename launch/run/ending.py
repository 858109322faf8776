"""The end of a run: write the record, leave Ray, report a failure in one sentence."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, Protocol

from actors.room import leave_ray
from launch.run.crash import sentence_of
from launch.run.members import begin_summary
from launch.run.place import Place
from launch.run.signals import exit_code
from rl.brake import Brake, Stopped
from rl.faults import RunFailure


class Ending(Enum):
    """The ways in which a run ends, each with W&B's exit code."""

    done = 0
    stopped = 130
    failed = 1


@dataclass(kw_only=True)
class End:
    """The end of a run; the defaults are those of a run that was cut off, for example by a KeyboardInterrupt."""

    ending: Ending = Ending.failed
    sentence: str = "stopped before the end"
    """Why the run ended early; "" for a run that did not."""
    exit_code: int = 1
    summary: dict[str, Any] = field(default_factory=dict)
    """Result of EndingRun.record."""
    is_lost: bool = False
    """True if the run folder was moved away: another one may lie at its path, where nothing may be written."""

    @property
    def entry(self) -> dict[str, str]:
        """The summary's entry about an early end; {} for a run that did not end early."""
        return {self.ending.name: self.sentence} if self.sentence else {}


class EndingRun(Protocol):
    """The part of a run that its end needs."""

    @property
    def folder(self) -> Path: ...

    @property
    def place(self) -> Place: ...

    @property
    def brake(self) -> Brake: ...

    def how_far(self) -> str:
        """Return the rest of the sentence "stopped by Ctrl-C …"."""

    def how_to_go_on(self, error: Exception) -> str:
        """Return the advice on how to continue after this error; "" if the run cannot continue."""

    def record(self, end: End) -> dict[str, Any]:
        """Write the summary and the page of the run, unless its folder is lost; return the summary."""


@contextmanager
def recorded_end(run: EndingRun) -> Iterator[End]:
    """Record that the run has begun, and at the end of the block how it ended; then leave Ray.

    The exception of a run that was stopped is caught. A failure is raised again as a RunFailure with the recorded
    sentence, whatever caused it: the run had begun. What goes wrong with the record itself is told beside it.
    """
    end, cause = End(), None
    try:
        begin_summary(run.folder)
        yield end
        end.ending, end.sentence, end.exit_code = Ending.done, "", 0
    except (Stopped, asyncio.CancelledError):
        if not run.brake.is_pulled:
            raise
        end.ending, end.sentence = Ending.stopped, f"stopped by {run.brake.reason} {run.how_far()}"
        end.exit_code = exit_code(run.brake.reason)
    except Exception as error:  # noqa: BLE001 - raised below as a RunFailure
        cause = error
        end.sentence = _with_advice(run, error)
    finally:
        try:
            unrecorded = _record(run, end)
        finally:
            run.place.close()
            leave_ray()
    if end.ending is Ending.failed or unrecorded:
        raise RunFailure("; besides, ".join(filter(None, (end.sentence, unrecorded)))) from cause


def _record(run: EndingRun, end: End) -> str:
    """Record the run; return what went wrong with that, "" if nothing did."""
    try:
        if run.place.is_lost:
            # Whatever else went wrong, it came of this.
            end.ending, end.sentence, end.exit_code, end.is_lost = Ending.failed, run.place.loss, 1, True
        end.summary = run.record(end)
    except Exception as error:  # noqa: BLE001 - told beside the fault that ended the run
        # The sentence of a failure has the advice already.
        return _sentence(run, error) if end.ending is Ending.failed else _with_advice(run, error)
    return ""


def _with_advice(run: EndingRun, error: Exception) -> str:
    advice = run.how_to_go_on(error)
    return _sentence(run, error) + (f"; {advice}" if advice else "")


def _sentence(run: EndingRun, error: Exception) -> str:
    """Return the sentence for an error; a bug's traceback is kept in the run's folder, but in no other at its path."""
    return sentence_of(error, "" if run.place.is_lost else str(run.folder))


def each_done(*acts: Callable[[], object]) -> None:
    """Do every act, whatever the others raise; then raise the first failure."""
    failures = []
    for act in acts:
        try:
            act()
        except Exception as error:  # noqa: BLE001 - raised below
            failures.append(error)
    if failures:
        raise failures[0]
