"""The errors that Assay raises itself.

AssayError
├── UserError    what a user can mend: a config value, a file, a sample; also a ValueError
└── RunFailure   what a user cannot mend in the config or the data: an actor died, an endpoint is out of reach

The message of either is one sentence, shown without a traceback. Any other exception is a bug and keeps its traceback.
"""


class AssayError(Exception):
    """An error whose message says in one sentence what went wrong and what to do."""


class UserError(AssayError, ValueError):
    """A config value, file or sample that the user has to change; the message names it."""


class RunFailure(AssayError, RuntimeError):
    """A run that cannot go on although config and data are in order."""
