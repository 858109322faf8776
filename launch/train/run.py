"""`assay train`: reads the data, starts the actors, runs the loop, saves, reports."""

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any

import ray

from actors.lesson_maker import RayLessonMaker
from actors.peers import counted, watch
from actors.room import join_ray
from actors.starting import Team, TeamConfig, start_team
from conf.schema import TrainConfig
from launch.run.answers import answers_file, read_answers
from launch.run.archive import RunArchive
from launch.run.folder import CONFIG, LOCK, dump_config, run_folder, write_json
from launch.run.members import SUMMARY
from launch.run.resume import find_start, finished, how_to_resume, prepare
from launch.run.signals import SIGNALS, exit_code
from launch.run.tracking import BENCHMARK, Evaluation, Plan, Resumed, RunTracker
from launch.run.wandb_run import Ending, without_secrets
from launch.train.cached_reference import CachedLogprobs, cached_reference
from launch.train.data import Data, read_data, steps_of, with_absolute_paths
from launch.train.report import counted_ranges, summarize, write_run_report
from rl.brake import Brake, Stopped, dropped
from rl.checkpoints import Checkpoint
from rl.data.prompts import PromptBuilder
from rl.data.stream import SampleStream
from rl.faults import RunFailure
from rl.loop import Exam, Roles, train
from rl.recipe import RECIPES
from rl.taught.teaching import teach
from rl.timing import Timings

LEARNING = ("algo", "reward", "rollout", "localize")
"""Sections of the config that decide what a step learns."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run, from where it begins."""

    config: TrainConfig
    folder: Path
    data: Data
    start: Checkpoint | None
    tracker: RunTracker
    timings: Timings
    brake: Brake

    @property
    def first_step(self) -> int:
        return self.start.record.progress.step if self.start else 0


def main(config: TrainConfig) -> int:
    """One run from data to report; its last printed line is the summary."""
    with run_folder(config.output) as folder:
        config = with_absolute_paths(config)
        data = None
        if config.num_epochs:
            data = _read(config)
            config = replace(config, num_steps=steps_of(config, len(data.training)))
        start = find_start(config, folder, print)
        summary = finished(folder, start, config.num_steps)
        if summary is not None:
            print(f"{folder} has done its {config.num_steps} steps; raise num_steps or num_epochs to go on")
            print(json.dumps(summary))
            return 0
        data = data or _read(config)
        if start and start.record.data_hash != data.hash:
            print(f"the data is not that of {start.folder}: the run goes on at its place in other samples")
        for change in changes(start, config) if start else []:
            print(change)
        prepare(folder, start)
        return _go(config, folder, data, start)


def _read(config: TrainConfig) -> Data:
    print("reading the data", flush=True)
    return read_data(config)


def _go(config: TrainConfig, folder: Path, data: Data, start: Checkpoint | None) -> int:
    began = time.perf_counter()
    (folder / CONFIG).write_text(dump_config(config))
    timings = Timings()
    plan = Plan(
        num_steps=config.num_steps,
        config=without_secrets(plain(config)),
        ranges=counted_ranges(config.reward),
        resize=config.localize.resize.value,
    )
    tracker = RunTracker(folder, config.logging, plan, timings, _resumed(folder, data, start))
    run = Run(config=config, folder=folder, data=data, start=start, tracker=tracker, timings=timings, brake=Brake())
    ending, sentence = Ending.failed, ""
    try:
        asyncio.run(_run(run))
        ending = Ending.done
    except (Stopped, asyncio.CancelledError):
        ending, sentence = Ending.stopped, f"stopped by {run.brake.reason} after step {tracker.last_step}"
    except RunFailure as error:
        sentence = f"{error}; {how_to_resume(folder)}"
        raise RunFailure(sentence) from error
    except Exception as error:
        sentence = " ".join(str(error).split())
        if isinstance(error, ValueError) and tracker.last_step > run.first_step:
            sentence = f"{sentence}; {how_to_resume(folder)}"
            raise RunFailure(sentence) from error
        raise
    finally:
        ray.shutdown()
        summary = summarize(config, tracker, time.perf_counter() - began)
        if sentence or ending is Ending.failed:
            summary[ending.name] = sentence or "stopped before the end"
        try:
            write_json(folder / SUMMARY, summary)
            write_run_report(config, tracker, summary, (len(data.training), len(data.heldout)))
        finally:
            tracker.finish(summary, ending)
    if ending is Ending.stopped:
        print(f"{sentence}; {how_to_resume(folder)}", flush=True)
        return exit_code(run.brake.reason)
    print(json.dumps(summary))
    return 0


async def _run(run: Run) -> None:
    config = run.config
    sections = TeamConfig(
        model=config.model,
        data=config.data,
        algo=config.algo,
        rollout=config.rollout,
        reward=config.reward,
        cluster=config.cluster,
        localize=config.localize,
        num_steps=config.num_steps,
        seed=config.seed,
    )
    stream = SampleStream(run.data.training, config.seed, run.start.record.progress.position if run.start else 0)
    kept = cached_reference(config, run.data.training, run.data.lessons, run.tracker.say)
    if kept and kept.is_complete:
        sections = replace(sections, reference_known=True)
    join_ray(config.cluster, with_reference=sections.with_reference)
    # After Ray, which takes SIGTERM for itself.
    whole = asyncio.current_task()
    for number, name in SIGNALS.items():
        asyncio.get_running_loop().add_signal_handler(number, _stop, run.brake, name, whole)
    run.tracker.say(f"starting {_team_in_words(sections)}")
    team = await run.brake.unless_pulled(start_team(sections, run.timings, stream, run.tracker.say))
    write_json(run.folder / "actors.json", {peer.name: peer.place for peer in team.everyone})
    watching = asyncio.ensure_future(watch(team.everyone))
    training = asyncio.ensure_future(_train(run, team, stream, kept))
    try:
        await asyncio.wait({watching, training}, return_when=asyncio.FIRST_COMPLETED)
        if training.done():
            training.result()
        else:
            watching.result()
    finally:
        await dropped([watching, training])


def _stop(brake: Brake, reason: str, whole: asyncio.Task | None) -> None:
    """Once: after a checkpoint. Twice: now."""
    if brake.is_pulled and whole:
        whole.cancel()
    brake.pull(reason)


async def _train(run: Run, team: Team, stream: SampleStream, kept: CachedLogprobs | None) -> None:
    config = run.config
    await team.policy.check_shared(run.folder / LOCK)
    if run.start:
        await team.policy.restore(run.start.folder, run.start.record.model)
    archive = RunArchive(
        run.folder,
        config.checkpoint,
        team.policy,
        run.tracker,
        facts={"data_hash": run.data.hash, "config": without_secrets(plain(config))},
        steps=range(run.first_step, config.num_steps),
    )
    teaches = RECIPES[config.algo.objective].teaches
    builder = PromptBuilder(config.model.path, config.data)
    roles = Roles(
        sampler=team.sampler,
        judge=team.judge,
        policy=team.policy,
        reference=kept.beside(team.reference) if kept else team.reference,
        repairer=team.repairer,
        observer=team.observer,
        lesson_maker=RayLessonMaker(builder, run.data.lessons) if teaches else None,
        tracker=run.tracker,
        archive=archive,
        brake=run.brake,
    )
    exam = Exam(samples=run.data.heldout, every=config.eval_every)
    try:
        await (teach if teaches else train)(config.algo, roles, stream, exam, run.first_step, config.num_steps)
    except Stopped:
        await archive.close()
        raise
    await archive.close()


def changes(start: Checkpoint, config: TrainConfig) -> list[str]:
    """What of the algorithm is not as it was in the run that goes on; the checkpoint brings none of it along."""
    before, now = (_learning(values) for values in (start.record.config, plain(config)))
    return [
        f"{name} was {before.get(name)} in the run of {start.folder} and is {value} from here on"
        for name, value in now.items()
        if before.get(name) != value
    ]


def _learning(config: Mapping[str, Any]) -> dict[str, Any]:
    sections = {f"{part}.{name}": value for part in LEARNING for name, value in config.get(part, {}).items()}
    return {"seed": config["seed"], **sections}


def _resumed(folder: Path, data: Data, start: Checkpoint | None) -> Resumed | None:
    if start is None:
        return None
    first = answers_file(folder, BENCHMARK, 0)
    groups = read_answers(first, data.heldout) if first.exists() else []
    evaluations = (Evaluation(step=0, groups=tuple(groups)),) if groups else ()
    is_branch = start.folder.parent.parent.resolve() != folder.resolve()
    return Resumed(wandb_id="" if is_branch else start.record.wandb_id, evaluations=evaluations)


def _team_in_words(sections: TeamConfig) -> str:
    cluster = sections.cluster
    counts = {"learner": cluster.num_learners, "rollout worker": cluster.num_rollout_workers}
    counts |= {"reference": int(sections.with_reference), "reward worker": cluster.num_reward_workers}
    return ", ".join(counted(count, kind) for kind, count in counts.items() if count)


def plain(config: Any) -> dict[str, Any]:
    """The config as nested dicts of plain values."""
    return asdict(config, dict_factory=lambda items: {k: v.value if isinstance(v, Enum) else v for k, v in items})
