"""RewardWorker behind Ray; imports neither torch nor transformers."""

from typing import Any

from actors.reward_worker import RewardWorker
from actors.watched import Watched
from rl.types import Group, Score


class RewardActor(Watched):
    """RewardWorker behind Ray: only the scores travel back."""

    def start(self, **options: Any) -> None:
        self._worker = RewardWorker(**options)

    def score(self, group: Group) -> tuple[Score, ...]:
        return self._worker.score(group).scores
