"""The scoring of groups in a process of its own; it keeps no state, so any number of workers share the work."""

from dataclasses import dataclass

from actors.watched import Watched
from rewards.compose import Composer
from rewards.config import RewardConfig
from rl.faults import UserError
from rl.types import Group, Score


@dataclass(frozen=True, kw_only=True)
class Scored:
    """The result of scoring a group."""

    scores: tuple[Score, ...]
    """A score for each completion; () after a fault."""
    printed: tuple[str, ...]
    """Lines that functions of the user's printed meanwhile."""
    fault: str = ""
    """Sentence that ends the run; "" for none. An exception would leave behind what was printed before it."""


class RewardWorker(Watched):
    """A scorer; a reward that raises or gives NaN stops the run with a sentence naming it and the sample."""

    def start(self, config: RewardConfig) -> None:
        self._printed: list[str] = []
        self._composer = Composer(config, hear=self._printed.append)

    def score(self, group: Group) -> Scored:
        try:
            scores, fault = self._composer.score_group(group).scores, ""
        except UserError as error:
            scores, fault = (), str(error)
        printed = tuple(self._printed)
        self._printed.clear()
        return Scored(scores=scores, printed=printed, fault=fault)
