"""The scoring of groups in a process of its own; it keeps no state, so any number of workers share the work."""

from actors.watched import Watched
from rewards.compose import Composer
from rewards.config import RewardConfig
from rl.types import Group, Score


class RewardWorker(Watched):
    """A scorer; a reward that raises or gives NaN stops the run with a sentence naming it and the sample."""

    def start(self, config: RewardConfig) -> None:
        self._composer = Composer(config)

    def score(self, group: Group) -> tuple[Score, ...]:
        """Return a score for each completion."""
        return self._composer.score_group(group).scores
