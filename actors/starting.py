"""Starts a run's actors and gives out the roles that they play."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from ray.actor import ActorHandle

from actors.config import ClusterConfig, ModelConfig, needs_reference
from actors.learner import Learner
from actors.peers import Peer, Startup
from actors.platform import engine_sleeps
from actors.reference import ReferencePolicy
from actors.reward_worker import RewardWorker
from actors.rollout_worker import RolloutWorker
from actors.room import call_limit, reserve, start_limit
from actors.setups import EngineSetup, FrozenSetup, LearnerSetup, ProfilePlan, Rank, Sampling
from actors.spawn import spawn
from actors.team import RayJudge, RayObserver, RayPolicy, RayReference, RaySampler, RayTeacher
from actors.waiting import answer, together
from rewards.config import RewardConfig, is_computed, weights
from rl.algorithm import AlgoConfig
from rl.data.config import DataConfig
from rl.data.prompts import PromptBuilder
from rl.data.stream import SampleStream
from rl.recipe import RECIPES
from rl.timing import Timings
from rl.truncation import KEEPS_ALL, Truncation
from rl.types import Sample
from rollout.banned import banned_token_ids
from rollout.config import LocalizeConfig, RolloutConfig, TeacherKind
from rollout.repairer import Repairer, response_tokens
from rollout.teacher import BorrowedTexts, EndpointTeacher, Teacher


@dataclass(frozen=True, kw_only=True)
class TeamConfig:
    """Config sections of a run's actors."""

    model: ModelConfig
    data: DataConfig
    algo: AlgoConfig
    rollout: RolloutConfig
    reward: RewardConfig
    cluster: ClusterConfig
    localize: LocalizeConfig
    num_steps: int
    seed: int
    profile: ProfilePlan | None = None
    reference_known: bool = False
    """True if files hold every reference log-prob that the run needs."""

    @property
    def with_reference(self) -> bool:
        """True if a frozen copy of the starting policy runs beside the learners."""
        return needs_reference(self.algo, self.cluster) and not self.reference_known


@dataclass(frozen=True, kw_only=True)
class Team:
    """The roles of rl.roles, played by started actors."""

    sampler: RaySampler
    judge: RayJudge
    policy: RayPolicy
    reference: RayReference | None
    observer: RayObserver | None
    repairer: Repairer | None
    everyone: tuple[Peer, ...]


async def start_team(
    config: TeamConfig,
    timings: Timings,
    stream: SampleStream,
    say: Callable[[str], None],
    hear: Callable[[str], None],
) -> Team:
    """Start every actor at once and wait until the last one holds its model; sampling goes on where the stream is.

    `hear` is told each line that reward functions of the user's print.
    """
    cluster, call = config.cluster, call_limit(config.cluster)
    outside = await _outside_teacher(config, say)
    room = await reserve(cluster, with_reference=config.with_reference)
    startup = Startup(start_limit(cluster), say)
    of_learners, of_reference = spawn(Learner, room, cluster), spawn(ReferencePolicy, room, cluster)
    of_engines, of_rewarders = spawn(RolloutWorker, room, cluster), spawn(RewardWorker, room, cluster)
    # While their processes come up.
    sampling = await asyncio.to_thread(_sampling, config)
    frozen = FrozenSetup(model=config.model, cluster=cluster, sampling=sampling)
    learners, references, engines, rewarders = await together(
        [
            _started_learners(config, sampling, of_learners, startup),
            startup.started("reference", of_reference, lambda handle, _: handle.start.remote(frozen)),
            startup.started(
                "rollout worker", of_engines, lambda handle, index: handle.start.remote(_engine_setup(config, index))
            ),
            startup.started("reward worker", of_rewarders, lambda handle, _: handle.start.remote(config.reward)),
        ]
    )
    policy = RayPolicy(learners, config.algo, cluster, timings, roommates=engines if engine_sleeps(cluster) else ())
    return Team(
        sampler=RaySampler(engines, config.algo.num_completions, config.seed, stream.position, call, timings),
        judge=RayJudge(rewarders, weights(config.reward), call, timings, hear),
        policy=policy,
        observer=RayObserver(policy, config.localize) if is_computed(config.reward.consistency) else None,
        reference=RayReference(references[0], call, timings) if references else None,
        repairer=_repairer(config, stream.samples, outside or RayTeacher(engines, call, timings), timings),
        everyone=(*learners, *references, *engines, *rewarders),
    )


async def _started_learners(
    config: TeamConfig, sampling: Sampling, handles: Sequence[ActorHandle], startup: Startup
) -> list[Peer]:
    """Start the ranks of the learner group, which meet at rank 0."""
    setup = LearnerSetup(
        model=config.model,
        algo=config.algo,
        cluster=config.cluster,
        sampling=sampling,
        num_updates=config.num_steps * config.algo.num_updates,
        seed=config.seed,
        profile=config.profile,
    )
    address = await answer(handles[0].open_meeting.remote(), "learner 0", start_limit(config.cluster))

    def begin(handle: ActorHandle, number: int) -> Awaitable[None]:
        return handle.start.remote(Rank(number=number, count=len(handles), address=address), setup)

    return await startup.started("learner", handles, begin)


async def _outside_teacher(config: TeamConfig, say: Callable[[str], None]) -> EndpointTeacher | None:
    """Return the teacher behind an endpoint, checked before any actor starts; None for other teachers."""
    if not (config.algo.contrastive and config.rollout.teacher.kind is TeacherKind.endpoint):
        return None
    teacher = EndpointTeacher(config.rollout, PromptBuilder(config.model.path, config.data).messages, say)
    await teacher.check()
    return teacher


def _repairer(config: TeamConfig, samples: Sequence[Sample], model: Teacher, timings: Timings) -> Repairer | None:
    """Return the role that repairs groups without contrast; `model` is the teacher of kind policy or endpoint."""
    if not config.algo.contrastive:
        return None
    builder = PromptBuilder(config.model.path, config.data)
    tokens = response_tokens(builder, config.model.path, config.rollout)
    kind = config.rollout.teacher.kind
    if kind is TeacherKind.none:
        return Repairer(None, tokens, config.seed, timings)
    teacher = BorrowedTexts(samples, builder) if kind is TeacherKind.borrowed else model
    return Repairer(teacher, tokens, config.seed, timings)


def _engine_setup(config: TeamConfig, index: int) -> EngineSetup:
    return EngineSetup(
        model=config.model,
        data=config.data,
        rollout=config.rollout,
        seed=config.seed + index,
        sleeps=engine_sleeps(config.cluster),
    )


def _sampling(config: TeamConfig) -> Sampling:
    taught, rollout = RECIPES[config.algo.objective].teaches, config.rollout
    sampled = Truncation(top_p=rollout.top_p, top_k=rollout.top_k, min_p=rollout.min_p)
    return Sampling(
        # Lessons were not sampled, so the model's own probabilities count.
        temperature=1.0 if taught else rollout.temperature,
        truncation=KEEPS_ALL if taught else sampled,
        banned_token_ids=banned_token_ids(config.model.path),
        max_response_tokens=rollout.max_response_tokens,
    )
