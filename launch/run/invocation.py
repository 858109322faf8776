"""What was typed to start a run: its title in the report, its name in W&B, and the command that runs it again."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

ABOUT_FILES = ("experiment", "output", "resume", "logging", "checkpoint")
"""Keys and sections that no title repeats: the experiment comes first in it, the others say what is written where."""


@dataclass(frozen=True, kw_only=True)
class Invocation:
    """The command behind a run; all fields are empty for a run that was started from Python."""

    command: str = ""
    """Shell command that starts the same run; for a member of a sweep, that member alone."""
    experiment: str = ""
    """Chosen option of the config group `experiment`; "" for a verb without that group."""
    algo: str = ""
    """Chosen option of the config group `algo`; stages can change its keys."""
    reward: str = ""
    """Chosen option of the config group `reward`."""
    overrides: tuple[str, ...] = ()
    """Overrides that change what the run does, in the order in which they were typed."""
    stage: str = ""
    """Name of the stage if the run is a part of a chain."""

    @property
    def title(self) -> str:
        """Experiment, overrides and stage in one line; "" for a run that was started from Python.

        >>> Invocation(experiment="demo", overrides=("algo.lr=1e-5", "seed=1")).title
        'demo algo.lr=1e-5 seed=1'
        >>> Invocation(experiment="dcr2ad_mini", stage="sft").title
        'dcr2ad_mini / sft'
        """
        return titled(self.experiment, " ".join(self.overrides), self.stage)


def titled(experiment: str, typed: str, stage: str) -> str:
    """Return the title of a run from its parts, each of which may be empty."""
    return " / ".join(filter(None, (" ".join(filter(None, (experiment, typed))), stage)))


FROM_PYTHON = Invocation()
_CURRENT: ContextVar[Invocation] = ContextVar("invocation")


def invocation() -> Invocation:
    """Return the invocation of the run that this process is in."""
    return _CURRENT.get(FROM_PYTHON)


@contextmanager
def invoked(by: Invocation) -> Iterator[None]:
    """Make `by` the invocation of whatever runs in the block."""
    token = _CURRENT.set(by)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def telling(overrides: Sequence[str]) -> tuple[str, ...]:
    """Return the overrides that a title repeats.

    >>> telling(["experiment=demo", "algo.lr=1e-5", "output=runs/1", "logging.group=a"])
    ('algo.lr=1e-5',)
    """
    return tuple(text for text in overrides if text.partition("=")[0].split(".")[0] not in ABOUT_FILES)
