"""How a run ends: Ray is left, the record is written whatever happened, and what stopped the run is one sentence."""

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
from rl.faults import RunFailure, UserError


class Ending(Enum):
    """The ways in which a run ends, by W&B's exit codes."""

    done = 0
    stopped = 130
    failed = 1


@dataclass(kw_only=True)
class End:
    """The end of a run; as it is set here for a run that was cut off by something that is no Exception."""

    ending: Ending = Ending.failed
    sentence: str = "stopped before the end"
    """Why the run ended early; "" for a run that did not."""
    exit_code: int = 1
    summary: dict[str, Any] = field(default_factory=dict)
    """The record's numbers, once the run has ended."""

    @property
    def entry(self) -> dict[str, str]:
        """The entry of a summary that says how the run ended early; {} for a run that did not."""
        return {self.ending.name: self.sentence} if self.sentence else {}


class EndingRun(Protocol):
    """A run, as far as its end concerns it."""

    @property
    def folder(self) -> Path: ...

    @property
    def brake(self) -> Brake: ...

    def how_far(self) -> str:
        """Continue the sentence "stopped by Ctrl-C …"."""

    def how_to_go_on(self, error: Exception) -> str:
        """Say what to type after this error; "" if the run cannot go on from where it was."""

    def record(self, end: End) -> dict[str, Any]:
        """Write the summary and the page of the run; return the summary."""


@contextmanager
def recorded_end(run: EndingRun) -> Iterator[End]:
    """Leave Ray and record the run at the end of the block; catch what stopped it, and raise what failed in a sentence.

    A fault of the user's stays one; a bug becomes a RunFailure, whose sentence says where its traceback is.
    """
    end = End()
    try:
        yield end
        end.ending, end.sentence, end.exit_code = Ending.done, "", 0
    except (Stopped, asyncio.CancelledError):
        end.ending, end.sentence = Ending.stopped, f"stopped by {run.brake.reason} {run.how_far()}"
        end.exit_code = exit_code(run.brake.reason)
    except Exception as error:
        advice = run.how_to_go_on(error)
        end.sentence = sentence_of(error, str(run.folder)) + (f"; {advice}" if advice else "")
        kind = UserError if isinstance(error, UserError) else RunFailure
        raise kind(end.sentence) from error
    finally:
        ray.shutdown()
        end.summary = run.record(end)
