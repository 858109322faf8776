"""Scores groups; stateless, so any number of them may share the work."""

from rewards.compose import score_group
from rewards.config import RewardConfig
from rl.types import Group


class RewardWorker:
    """One scorer; a reward that raises or gives NaN stops the run with a sentence naming it and the sample."""

    def __init__(self, config: RewardConfig) -> None:
        self._config = config

    def score(self, group: Group) -> Group:
        return score_group(group, self._config)
