"""Scores groups; what it holds never changes, so any number of them may share the work."""

from rewards.compose import Composer
from rewards.config import RewardConfig
from rl.types import Group


class RewardWorker:
    """One scorer; a reward that raises or gives NaN stops the run with a sentence naming it and the sample."""

    def __init__(self, config: RewardConfig) -> None:
        self._composer = Composer(config)

    def score(self, group: Group) -> Group:
        return self._composer.score_group(group)
