"""What a target says for certain; a wrong label is a fault of the data and raises."""

from rl.faults import UserError
from rl.types import Target


def known_label(target: Target) -> str | None:
    """ "normal" or "defective"; None where the target does not say."""
    if target.label not in ("", "normal", "defective"):
        raise UserError(f'the label must be "normal" or "defective"; got "{target.label}"')
    return target.label or None


def known_option(target: Target) -> str | None:
    """The right option's letter; None where the target does not say."""
    option = target.option
    if option and not (len(option) == 1 and "A" <= option <= "Z" and option in (target.options or option)):
        offered = ", ".join(target.options) or "A to Z"
        raise UserError(f'the right option must be one of {offered}; got "{option}"')
    return option or None
