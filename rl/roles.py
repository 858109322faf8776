"""The roles that the training loop calls; `actors` plays them with Ray, tests with plain classes."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, Protocol

from rl.checkpoints import Progress
from rl.contrast import Repair
from rl.types import Completion, Group, Sample

Metrics = dict[str, float]


class Sampler(Protocol):
    """The engines that answer samples with the current weights."""

    def collect(self, samples: Sequence[Sample], *, greedy: bool = False) -> AsyncGenerator[tuple[int, Group]]:
        """Yield (index of the sample, its group) as groups finish; `greedy` makes one most-likely completion each."""

    async def load(self, weights: Any, version: int) -> None:
        """Load the weights that `Policy.publish` returned; completions from then on carry `version`."""


class Judge(Protocol):
    """The reward that scores completions."""

    @property
    def weights(self) -> Mapping[str, float]:
        """Return the weight of each component of the reward, by name."""

    async def score(self, group: Group) -> Group:
        """Return the group with a score for each completion."""


class Repairer(Protocol):
    """The writer of completions that give contrast to groups without it."""

    @property
    def has_teacher(self) -> bool:
        """Return True if there is a teacher to write negatives: answers with a wrong conclusion."""

    async def write(self, repairs: Sequence[Repair], step: int) -> list[tuple[Completion, ...]]:
        """Return the new completions of each repair; without unusable ones, so maybe fewer than `repair.places`."""


class LessonMaker(Protocol):
    """The maker of groups from given answers, for SFT, DPO and KTO."""

    async def lessons(self, samples: Sequence[Sample]) -> list[Group]:
        """Return a group for each sample: its answers to be taught, with advantage 1 for better and -1 for worse."""


class Reference(Protocol):
    """The frozen policy that the KL term compares with."""

    async def logprobs(self, groups: Sequence[Group]) -> list[Group]:
        """Return the groups with the reference's log-probabilities."""


class Policy(Protocol):
    """The model in training."""

    async def update(self, groups: Sequence[Group]) -> Metrics:
        """Take the optimizer steps of one rollout batch, once it passes the parity gate; return their metrics."""

    async def publish(self) -> Any:
        """Return the current weights, in the form that `Sampler.load` takes."""


class Observer(Protocol):
    """The observer of where the policy looks while it writes."""

    async def observe(self, groups: Sequence[Group], *, with_maps: bool) -> list[Group]:
        """Return the groups with the policy's log-probs and looks, both from one pass; the looks may include maps."""


class Tracker(Protocol):
    """The recorder of metrics and samples."""

    def begin(self) -> None:
        """Start the clock of the first step; seconds before it count for no step."""

    def log(self, step: int, groups: Sequence[Group], report: Metrics) -> None:
        """Record a training step: metrics, curves and sample pictures of all groups as the policy sampled them."""

    def log_evaluation(self, step: int, groups: Sequence[Group]) -> None:
        """Record the scored answers to the held-out samples after `step` training steps."""


class Archive(Protocol):
    """The keeper of the checkpoints."""

    async def keep(self, progress: Progress, *, now: bool = False) -> None:
        """Write a checkpoint if one is due or `now` is set; training goes on while it is written."""
