"""A run of `assay train` once its data is read: start the actors, run the loop, record how the run ended."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from actors.config import profiled_steps
from actors.lesson_maker import RayLessonMaker
from actors.peers import counted, while_alive
from actors.placement import slots
from actors.room import join_ray
from actors.setups import ProfilePlan
from actors.starting import Team, TeamConfig, start_team
from conf.schema import TrainConfig
from launch.run.answers import BENCHMARK, answers_file, read_answers
from launch.run.archive import RunArchive
from launch.run.ending import End, Ending, each_done, recorded_end
from launch.run.folder import CONFIG, LOCK, REPORT, dump_config, plain, write_json, write_whole
from launch.run.invocation import Invocation, invocation
from launch.run.members import SUMMARY
from launch.run.model_folder import model_name
from launch.run.place import Place
from launch.run.printed import PrintedLines
from launch.run.resume import how_to_resume
from launch.run.signals import stop_on_signals
from launch.run.tracking import Plan, Resumed, RunTracker
from launch.run.wandb_run import without_secrets
from launch.train.cached_reference import CachedLogprobs, cached_reference
from launch.train.data import Data
from launch.train.devices import Devices
from launch.train.provenance import provenance
from launch.train.report import Setup, counted_ranges, summarize, write_run_report
from rl.brake import Brake, Stopped
from rl.checkpoints import Checkpoint
from rl.data.prompts import PromptBuilder
from rl.data.stream import SampleStream
from rl.evaluation.metrics import Evaluation
from rl.faults import RunFailure, named
from rl.loop import Exam, Roles, train
from rl.recipe import RECIPES
from rl.roles import Metrics
from rl.taught.teaching import teach
from rl.timing import Timings
from rl.types import Group


@dataclass(frozen=True, kw_only=True)
class Training:
    """A run of `assay train`; plays launch.run.ending.EndingRun and rl.roles.Tracker."""

    config: TrainConfig
    place: Place
    data: Data
    start: Checkpoint | None
    """The checkpoint from which the run goes on; None for a run that starts anew."""
    epoch: int
    """Number of this process among all that went on with the run."""
    tracker: RunTracker
    setup: Setup
    timings: Timings
    brake: Brake

    @property
    def folder(self) -> Path:
        return self.place.folder

    @property
    def first_step(self) -> int:
        return self.start.record.progress.step if self.start else 0

    def how_far(self) -> str:
        return f"after step {self.tracker.last_step}"

    def how_to_go_on(self, error: Exception) -> str:
        """Name the newest checkpoint; "" if the run made no step and the same error would meet it again."""
        may_pass = isinstance(error, RunFailure | OSError)
        return self.how_to_resume() if self._made_steps or may_pass else ""

    def how_to_resume(self) -> str:
        return how_to_resume(self.folder, self.start, made_steps=self._made_steps)

    @property
    def _made_steps(self) -> bool:
        return self.tracker.last_step > self.first_step

    def begin(self) -> None:
        self.tracker.begin()

    def log(self, step: int, groups: Sequence[Group], report: Metrics) -> None:
        self.place.check()
        self.tracker.log(step, groups, report)

    def log_evaluation(self, step: int, groups: Sequence[Group]) -> None:
        """Record the answers and write the report anew, which counts for no training step."""
        self.place.check()
        self.tracker.log_evaluation(step, groups)
        try:
            write_run_report(self.config, self.tracker, self._summary(), self.setup, is_running=True)
        except Exception as error:  # noqa: BLE001 - a page must not end a training; at its end the same fault would show
            self.tracker.say(f"warning: {REPORT} could not be written ({named(error)}); the training goes on")
        self.timings.drain()

    def record(self, end: End) -> dict[str, Any]:
        """Write the summary and the report, name the report's file, end the W&B run; return the summary."""
        summary = self._summary() | end.entry
        if end.is_lost:
            self.tracker.finish(summary, end)
            return summary
        each_done(
            lambda: write_json(self.folder / SUMMARY, summary),
            lambda: write_run_report(self.config, self.tracker, summary, self.setup),
            lambda: self.tracker.finish(summary, end),
        )
        print(f"report: {self.folder / REPORT}", flush=True)
        return summary

    def _summary(self) -> dict[str, Any]:
        seconds = self.tracker.seconds
        return summarize(self.config, self.tracker, seconds) | self.setup.devices.hours(seconds)


def open_run(config: TrainConfig, folder: Path, data: Data, start: Checkpoint | None, epoch: int) -> Training:
    """Write config.yaml, open the metrics and W&B."""
    timings = Timings()
    write_whole(folder / CONFIG, dump_config(config))
    plan = Plan(
        num_steps=config.num_steps,
        title=invocation().title,
        tags=_tags(config, invocation()),
        config=without_secrets(plain(config)),
        ranges=counted_ranges(config.reward),
        warnings=data.warnings,
        resize=config.localize.resize.value,
        notices=_notice_of_profile(config),
    )
    return Training(
        config=config,
        place=Place(folder),
        data=data,
        start=start,
        epoch=epoch,
        tracker=RunTracker(folder, config.logging, plan, timings, _resumed(folder, data, start)),
        setup=Setup(
            num_samples=(len(data.training), len(data.heldout)),
            by=invocation(),
            provenance=provenance(config),
            devices=Devices(),
        ),
        timings=timings,
        brake=Brake(),
    )


def _tags(config: TrainConfig, by: Invocation) -> tuple[str, ...]:
    """Return the names of objective, algorithm, reward and model."""
    objective = config.algo.objective
    # What is taught, and a stage of a chain, may have other values than those of the chosen option.
    algorithm = "" if RECIPES[objective].teaches or by.stage else by.algo
    names = objective.value, algorithm, by.reward, model_name(config.model.path)
    return tuple(filter(None, dict.fromkeys(names)))


def _notice_of_profile(config: TrainConfig) -> dict[int, str]:
    """Return the sentence about the profile by the step that ends it; {} for a run without a profile."""
    steps = profiled_steps(config.profile, config.num_steps)
    files = f"{_profile_folder(config)}/rank_*.json"
    sentence = (
        f"the profile of steps {config.profile.steps} is in {files}; open it in chrome://tracing or ui.perfetto.dev"
    )
    return {steps[-1]: sentence} if steps else {}


def _profile_folder(config: TrainConfig) -> Path:
    return Path(config.output) / "profile"


def _resumed(folder: Path, data: Data, start: Checkpoint | None) -> Resumed | None:
    """Return what the run had recorded before; None for a new run."""
    if start is None:
        return None
    first = answers_file(folder, BENCHMARK, 0)
    groups = read_answers(first, data.heldout) if first.exists() else []
    evaluations = (Evaluation(step=0, groups=tuple(groups)),) if groups else ()
    # A run that branches off another one is a new one in W&B.
    is_branch = start.folder.parent.parent.resolve() != folder.resolve()
    return Resumed(wandb_id="" if is_branch else start.record.wandb_id, evaluations=evaluations)


def train_and_record(run: Training) -> int:
    """Train, record the end whatever it is, print how the run ended; return the exit code."""
    with recorded_end(run) as end:
        asyncio.run(_start_team_and_train(run))
    if end.ending is Ending.stopped:
        print(f"{end.sentence}; {run.how_to_resume()}", flush=True)
    else:
        print(json.dumps(end.summary))
    return end.exit_code


async def _start_team_and_train(run: Training) -> None:
    """Start the actors that the config asks for, and train while all of them live."""
    config, say, printed = run.config, run.tracker.say, PrintedLines(run.place, run.tracker.say)
    stream = SampleStream(run.data.training, config.seed, run.start.record.progress.position if run.start else 0)
    cached = cached_reference(config, run.data.training, run.data.lessons, say)
    sections = _sections(config, reference_known=cached is not None and cached.is_complete)
    head = join_ray(config.cluster, with_reference=sections.with_reference)
    stop_on_signals(run.brake)
    say(f"starting {_team_in_words(sections)}")
    starting = start_team(sections, run.timings, stream, say, printed.hear)
    team = await run.brake.unless_pulled(while_alive(starting, [head]))
    write_json(run.folder / "actors.json", {peer.name: peer.place for peer in team.everyone})
    await while_alive(_train(run, team, stream, cached), [head, *team.everyone])


def _sections(config: TrainConfig, *, reference_known: bool) -> TeamConfig:
    steps = profiled_steps(config.profile, config.num_steps)
    return TeamConfig(
        model=config.model,
        data=config.data,
        algo=config.algo,
        rollout=config.rollout,
        reward=config.reward,
        cluster=config.cluster,
        localize=config.localize,
        num_steps=config.num_steps,
        seed=config.seed,
        profile=ProfilePlan(steps=steps, folder=str(_profile_folder(config))) if steps else None,
        reference_known=reference_known,
    )


def _team_in_words(sections: TeamConfig) -> str:
    cluster = sections.cluster
    counts = {"learner": cluster.num_learners, "rollout worker": cluster.num_rollout_workers}
    counts |= {"reference": int(sections.with_reference), "reward worker": cluster.num_reward_workers}
    return ", ".join(counted(count, kind) for kind, count in counts.items() if count)


async def _train(run: Training, team: Team, stream: SampleStream, cached: CachedLogprobs | None) -> None:
    """Bring the learners to the start, run the loop, and wait until the last checkpoint is written."""
    config = run.config
    room = slots(config.cluster, with_reference=team.reference is not None)
    run.setup.devices.occupy(room, await team.policy.hardware(), [peer.place for peer in team.everyone])
    await team.policy.check_shared(run.folder / LOCK)
    if run.start:
        await team.policy.restore(run.start.folder, run.start.record.model)
    archive = RunArchive(
        run.place,
        config.checkpoint,
        team.policy,
        run.tracker,
        facts={"epoch": run.epoch, "data_hash": run.data.hash, "config": without_secrets(plain(config))},
        steps=range(run.first_step, config.num_steps),
    )
    await archive.open()
    teaches = RECIPES[config.algo.objective].teaches
    builder = PromptBuilder(config.model.path, config.data)
    roles = Roles(
        sampler=team.sampler,
        judge=team.judge,
        policy=team.policy,
        reference=cached.beside(team.reference) if cached else team.reference,
        repairer=team.repairer,
        observer=team.observer,
        lesson_maker=RayLessonMaker(builder, run.data.lessons) if teaches else None,
        tracker=run,
        archive=archive,
        brake=run.brake,
    )
    exam = Exam(samples=run.data.heldout, every=config.eval_every)
    loop = teach if teaches else train
    try:
        await loop(config.algo, roles, stream, exam, run.first_step, config.num_steps)
    except Stopped:
        await archive.close()
        raise
    await archive.close()
