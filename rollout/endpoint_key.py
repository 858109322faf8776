"""The key of an endpoint, read from the environment."""

import os

from rl.faults import UserError


def endpoint_key(variable: str) -> str:
    """Return the key in the variable; "" if none is named; raise a UserError if it holds no key."""
    # A key read from a file often ends with a line break.
    key = os.environ.get(variable, "").strip() if variable else ""
    if variable and not key:
        raise UserError(f"rollout.teacher.key_env: the environment has no {variable}; export it where the run starts")
    if not (key.isascii() and key.isprintable()):
        raise UserError(f"rollout.teacher.key_env: {variable} holds no key that a header could carry; correct it")
    return key
