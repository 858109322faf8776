"""Faults that are nobody's config or data."""


class RunFailure(RuntimeError):
    """The run cannot go on; the message is the one sentence to show."""
