"""The key of an endpoint, which only the environment holds."""

import os

from rl.faults import UserError


def endpoint_key(variable: str) -> str:
    """What the variable holds; "" where none is named, a UserError where it holds no key."""
    # A file that holds a secret mostly ends its line.
    key = os.environ.get(variable, "").strip() if variable else ""
    if variable and not key:
        raise UserError(f"rollout.teacher.key_env: the environment has no {variable}; export it where the run starts")
    if not (key.isascii() and key.isprintable()):
        raise UserError(f"rollout.teacher.key_env: {variable} holds no key that a header could carry; correct it")
    return key
