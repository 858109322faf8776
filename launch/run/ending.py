"""The end of a run: shut Ray down, write the record, report a failure in one sentence."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, Protocol

import ray

from launch.run.crash import sentence_of
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

    @property
    def entry(self) -> dict[str, str]:
        """The summary's entry about an early end; {} for a run that did not end early."""
        return {self.ending.name: self.sentence} if self.sentence else {}


class EndingRun(Protocol):
    """The part of a run that its end needs."""

    @property
    def folder(self) -> Path: ...

    @property
    def brake(self) -> Brake: ...

    def how_far(self) -> str:
        """Return the rest of the sentence "stopped by Ctrl-C …"."""

    def how_to_go_on(self, error: Exception) -> str:
        """Return the advice on how to continue after this error; "" if the run cannot continue."""

    def record(self, end: End) -> dict[str, Any]:
        """Write the summary and the page of the run; return the summary."""


@contextmanager
def recorded_end(run: EndingRun) -> Iterator[End]:
    """Leave Ray and record the run at the end of the block, and catch the exception of a run that was stopped.

    A failure is raised again as a RunFailure with the recorded sentence, whatever caused it: the run had begun.
    """
    end = End()
    try:
        yield end
        end.ending, end.sentence, end.exit_code = Ending.done, "", 0
    except (Stopped, asyncio.CancelledError):
        if not run.brake.is_pulled:
            raise
        end.ending, end.sentence = Ending.stopped, f"stopped by {run.brake.reason} {run.how_far()}"
        end.exit_code = exit_code(run.brake.reason)
    except Exception as error:
        advice = run.how_to_go_on(error)
        end.sentence = sentence_of(error, str(run.folder)) + (f"; {advice}" if advice else "")
        raise RunFailure(end.sentence) from error
    finally:
        ray.shutdown()
        end.summary = run.record(end)
