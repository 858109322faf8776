"""The roles that the training loop speaks to; `actors` plays them with Ray, tests with plain classes."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, Protocol

from rl.checkpoints import Progress
from rl.contrast import Repair
from rl.types import Completion, Group, Sample

Metrics = dict[str, float]


class Sampler(Protocol):
    def collect(self, samples: Sequence[Sample], *, greedy: bool = False) -> AsyncGenerator[tuple[int, Group]]:
        """Yields (index of the sample, its group) as groups finish; `greedy` gives one most-likely completion each."""

    async def load(self, weights: Any, version: int) -> None:
        """Takes the weights that `Policy.publish` handed out; completions carry `version` from here on."""


class Judge(Protocol):
    @property
    def weights(self) -> Mapping[str, float]:
        """Weight of each component of the reward."""

    async def score(self, group: Group) -> Group:
        """The group with its scores."""


class Repairer(Protocol):
    @property
    def has_teacher(self) -> bool:
        """Whether there is somebody who writes negatives."""

    async def write(self, repairs: Sequence[Repair], step: int) -> list[tuple[Completion, ...]]:
        """For each repair the completions that join, fewer than it has places where some cannot be used."""


class LessonMaker(Protocol):
    async def lessons(self, samples: Sequence[Sample]) -> list[Group]:
        """The samples with the answers that are taught: of advantage 1 what is better, of -1 what is worse."""


class Reference(Protocol):
    async def logprobs(self, groups: Sequence[Group]) -> list[Group]:
        """The groups with the reference's log-probabilities."""


class Policy(Protocol):
    async def update(self, groups: Sequence[Group]) -> Metrics:
        """Takes the optimizer steps of one rollout batch, after the parity gate let it pass."""

    async def publish(self) -> Any:
        """The current weights, in the form `Sampler.load` takes."""


class Observer(Protocol):
    async def observe(self, groups: Sequence[Group], *, with_maps: bool) -> list[Group]:
        """The groups with the policy's log-probs and where it looks, from one pass over them."""


class Tracker(Protocol):
    def log(self, step: int, groups: Sequence[Group], report: Metrics) -> None:
        """Records one training step, all groups as the policy sampled them: metrics, curves and sample pictures."""

    def log_evaluation(self, step: int, groups: Sequence[Group]) -> None:
        """Records one pass over the held-out samples."""


class Archive(Protocol):
    async def keep(self, progress: Progress, *, now: bool = False) -> None:
        """Writes a checkpoint when one is due or wanted now; training goes on while it is written."""
