"""Lines of JSON objects, each with a digest of itself and of all lines before it."""

import hashlib

MARK = ', "chain": "'
"""Text between the content of a line and its digest, which a reader of JSON finds under "chain"."""


def linked(told: str, before: str) -> tuple[str, str]:
    """Return the line of a JSON object that follows lines with the digest `before`, and the digest of them all.

    >>> linked('{"step": 1}', "")
    ('{"step": 1, "chain": "66acd07fcea20439"}', '66acd07fcea20439')
    """
    chain = hashlib.sha256(f"{before}{told}".encode()).hexdigest()[:16]
    return f'{told[:-1]}{MARK}{chain}"}}', chain


def unlinked(line: str, before: str) -> tuple[str, str]:
    """Return the JSON object of a line and the digest of all lines so far; a ValueError if a line was changed."""
    told = line.rpartition(MARK)[0] + "}"
    expected, chain = linked(told, before)
    if line != expected:
        raise ValueError("this line or one before it is not what was written: its digest differs")
    return told, chain
