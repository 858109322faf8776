"""The errors that Assay raises itself.

AssayError
├── UserError        what a user can mend: a config value, a file, a sample; also a ValueError
└── RunFailure       a run that had begun and failed, or what config and data did not cause: an actor died
    └── ActorBug     an exception that nobody foresaw, in an actor; the cause holds the traceback from there

The message of a UserError or RunFailure is one sentence, shown without a traceback; so is that of an OSError, which
tells of a file, a disk or a network. ActorBug and any other exception is a bug: launch/run/crash.py shows and keeps
its traceback.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MOST_SHOWN = 80
"""Letters of a value that a sentence shows."""


class AssayError(Exception):
    """An error whose message says in one sentence what went wrong and what to do."""


class UserError(AssayError, ValueError):
    """A config value, file or sample that the user has to change; the message names it."""


class RunFailure(AssayError, RuntimeError):
    """A run that failed after it had begun, or that cannot begin although config and data are in order."""


class ActorBug(RunFailure):
    """A bug that showed in an actor; the message names the actor."""


def is_bug(error: BaseException) -> bool:
    """Return True if the message of an error is not enough and its traceback is needed."""
    if isinstance(error, AssayError):
        return isinstance(error, ActorBug)
    return not isinstance(error, OSError)


@contextmanager
def of_file(path: Path) -> Iterator[None]:
    """Name the file in an OSError of the block that names none, as that of a write to a full disk does."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise


def one_line(text: object) -> str:
    r"""Return a text, or the message of an error, on one line.

    >>> one_line("two\n  lines")
    'two lines'
    """
    return " ".join(str(text).split())


def brief(value: object) -> str:
    """Return a value from a file as it is shown in a sentence: on one line, and not all of it if it is long.

    >>> brief("scratch"), len(brief(["x"] * 1000))
    ('scratch', 80)
    """
    text = one_line(value)
    return text if len(text) <= MOST_SHOWN else f"{text[: MOST_SHOWN - 1]}…"


def named(error: BaseException) -> str:
    """Return the type and the message of an error on one line.

    >>> named(KeyError("x")), named(AssertionError())
    ("KeyError: 'x'", 'AssertionError')
    """
    message = one_line(error)
    return f"{type(error).__name__}: {message}" if message else type(error).__name__
