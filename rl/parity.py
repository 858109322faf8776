"""The parity gate: engine and learner must give the same tokens the same log-probs."""

import logging

from rl.algorithm import AlgoConfig

_LOG = logging.getLogger(__name__)


def check_parity(mean: float, largest: float, config: AlgoConfig) -> None:
    """Warns past the first threshold, stops past the second; NaN stops too."""
    found = f"engine and learner log-probs differ by {mean:.2g} on average and {largest:.2g} at most"
    if not mean <= config.parity_stop:
        raise ValueError(
            f"{found}, past algo.parity_stop={config.parity_stop}: they do not run the same weights, tokens, pixels or "
            "precision; compare model.precision and rollout.temperature on both sides before raising the threshold"
        )
    if mean > config.parity_warn:
        _LOG.warning("%s, past algo.parity_warn=%s", found, config.parity_warn)
