"""Label and option of a target; an invalid one is a fault of the data and raises a UserError."""

from rl.faults import UserError
from rl.types import DEFECTIVE, NORMAL, Target


def known_label(target: Target) -> str | None:
    """Return "normal" or "defective"; None if the target has no label."""
    if target.label not in ("", NORMAL, DEFECTIVE):
        raise UserError(f'the label must be "normal" or "defective"; got "{target.label}"')
    return target.label or None


def known_option(target: Target) -> str | None:
    """Return the letter of the right option; None if the target has none."""
    option = target.option
    if option and not (len(option) == 1 and "A" <= option <= "Z" and option in (target.options or option)):
        offered = ", ".join(target.options) or "A to Z"
        raise UserError(f'the right option must be one of {offered}; got "{option}"')
    return option or None
