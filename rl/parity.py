"""The parity gate: engine and learner must give the same tokens the same log-probs."""

import logging

from rl.algorithm import AlgoConfig
from rl.faults import UserError

_LOG = logging.getLogger(__name__)


def check_parity(mean: float, largest: float, config: AlgoConfig) -> None:
    """Raise a UserError if the mean difference exceeds algo.parity_stop or is NaN."""
    if not mean <= config.parity_stop:
        raise UserError(
            f"{_found(mean, largest)}, past algo.parity_stop={config.parity_stop}: they do not run the same weights, "
            "tokens, pixels or precision; compare model.precision and rollout.temperature on both sides before raising "
            "the threshold"
        )


def warn_of_parity(mean: float, largest: float, config: AlgoConfig) -> None:
    """Log a warning if the mean difference exceeds algo.parity_warn; call it on the driver."""
    if mean > config.parity_warn:
        _LOG.warning("%s, past algo.parity_warn=%s", _found(mean, largest), config.parity_warn)


def _found(mean: float, largest: float) -> str:
    return f"engine and learner log-probs differ by {mean:.2g} on average and {largest:.2g} at most"
