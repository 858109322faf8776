"""`assay train`: reads the data, starts the actors, runs the loop, saves, reports."""

import asyncio
import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from enum import Enum
from math import ceil
from pathlib import Path
from typing import Any

import ray

from actors.crew import Crew, CrewConfig, start_crew
from actors.model_folder import check_folder, check_localize
from actors.peers import counted, watch
from actors.room import join_ray
from actors.tutor import RayTutor
from conf.schema import TrainConfig
from launch.answers import answers_file, read_answers
from launch.archive import RunArchive
from launch.composing import dump_config
from launch.kept_reference import Kept, kept_reference
from launch.resume import CONFIG, LOCK, find_start, finished, how_to_resume, prepare, run_folder, write_json
from launch.samples import read_split, with_absolute_path
from launch.signals import SIGNALS, exit_code
from launch.summary import counted_ranges, summarize, write_run_report
from launch.tracking import BENCHMARK, Evaluation, Plan, Resumed, RunTracker
from launch.wandb_run import Ending, without_secrets
from rewards.compose import check_truth
from rewards.config import is_computed, weights
from rewards.item import item_of
from rl.algorithm import Objective
from rl.brake import Brake, Stopped, dropped
from rl.checkpoints import Checkpoint
from rl.data.lessons import Lesson, check_spans, own_lesson, read_lessons, with_lessons
from rl.data.prompts import PromptBuilder, check_looks, check_prompts
from rl.data.readers import check_boxes
from rl.data.stream import SampleStream
from rl.evaluation.members import SUMMARY
from rl.faults import RunFailure
from rl.loop import Exam, Team, train
from rl.preference_config import LossSpan
from rl.teaching import teach
from rl.timing import Timings
from rl.types import Sample
from rollout.author import check_contrast, check_lessons, response_tokens
from rollout.config import reads_words

LEARNING = ("algo", "reward", "rollout", "localize")
"""Sections of the config that decide what a step learns."""


@dataclass(frozen=True, kw_only=True)
class Data:
    """What a run learns from and what it is judged on."""

    training: list[Sample]
    heldout: list[Sample]
    lessons: Mapping[str, Lesson]
    """Of the training samples, by their ids; {} where none are given."""

    @property
    def hash(self) -> str:
        """Tells the samples and their truth apart from others."""
        truth: list[Any] = [
            (sample.id, sample.question, asdict(sample.target)) for sample in self.training + self.heldout
        ]
        truth += [(name, asdict(lesson)) for name, lesson in self.lessons.items()]
        return hashlib.sha256(json.dumps(truth, default=str).encode()).hexdigest()[:16]


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


def steps_of(config: TrainConfig, num_samples: int) -> int:
    """Steps in which num_epochs times as many samples are drawn; the last one may draw some of a further epoch."""
    return ceil(config.num_epochs * num_samples / config.algo.num_prompts)


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
    sections = CrewConfig(
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
    kept = kept_reference(config, run.data.training, run.data.lessons, run.tracker.say)
    if kept and kept.is_complete:
        sections = replace(sections, reference_known=True)
    join_ray(config.cluster, with_reference=sections.with_reference)
    # After Ray, which takes SIGTERM for itself.
    whole = asyncio.current_task()
    for number, name in SIGNALS.items():
        asyncio.get_running_loop().add_signal_handler(number, _stop, run.brake, name, whole)
    run.tracker.say(f"starting {_crew_in_words(sections)}")
    crew = await run.brake.unless_pulled(start_crew(sections, run.timings, stream, run.tracker.say))
    write_json(run.folder / "actors.json", {peer.name: peer.place for peer in crew.everyone})
    watching = asyncio.ensure_future(watch(crew.everyone))
    training = asyncio.ensure_future(_train(run, crew, stream, kept))
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


async def _train(run: Run, crew: Crew, stream: SampleStream, kept: Kept | None) -> None:
    config = run.config
    await crew.policy.check_shared(run.folder / LOCK)
    if run.start:
        await crew.policy.restore(run.start.folder, run.start.record.model)
    archive = RunArchive(
        run.folder,
        config.checkpoint,
        crew.policy,
        run.tracker,
        facts={"data_hash": run.data.hash, "config": without_secrets(plain(config))},
        steps=range(run.first_step, config.num_steps),
    )
    taught = config.algo.objective is not Objective.grpo
    builder = PromptBuilder(config.model.path, config.data)
    team = Team(
        sampler=crew.sampler,
        judge=crew.judge,
        policy=crew.policy,
        reference=kept.beside(crew.reference) if kept else crew.reference,
        author=crew.author,
        observer=crew.observer,
        tutor=RayTutor(builder, run.data.lessons) if taught else None,
        tracker=run.tracker,
        archive=archive,
        brake=run.brake,
    )
    exam = Exam(samples=run.data.heldout, every=config.eval_every)
    try:
        await (teach if taught else train)(config.algo, team, stream, exam, run.first_step, config.num_steps)
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


def read_data(config: TrainConfig) -> Data:
    """Every file has been opened once; a bad one is named before an actor starts."""
    check_folder(config.model.path)
    check_localize(config.model.path, config.localize)
    training, heldout = read_split(config.data, config.seed)
    builder = PromptBuilder(config.model.path, config.data)
    lessons = {}
    if config.data.lessons:
        path, in_pairs = Path(config.data.lessons), config.algo.objective in (Objective.dpo, Objective.kto)
        lessons = read_lessons(path, with_rejected=in_pairs)
        training = with_lessons(training, heldout, lessons, path)
    check_prompts(training + heldout, builder, config.rollout.max_prompt_tokens, config.rollout.max_images)
    if config.algo.objective is not Objective.grpo:
        taught = {sample.id: lessons.get(sample.id) or own_lesson(sample) for sample in training}
        if config.algo.objective is Objective.kto and len(taught) < 2:
            raise ValueError(
                "algo.objective=kto compares with answers to other prompts; give data.lessons of two or more"
            )
        check_lessons(taught, response_tokens(builder, config.model.path, config.rollout))
        if config.algo.span is not LossSpan.response:
            check_spans(taught)
    if config.algo.contrastive:
        check_contrast(training, builder, response_tokens(builder, config.model.path, config.rollout), config.rollout)
    check_boxes(training + heldout, weights(config.reward))
    if is_computed(config.reward.consistency):
        check_looks(training + heldout, builder, config.data.anomaly_words, read=reads_words(config.localize))
    check_truth([item_of(sample) for sample in training + heldout], config.reward)
    order = SampleStream(heldout, config.seed)
    asked = order.take(min(config.data.num_heldout or len(heldout), len(heldout)))
    return Data(training=training, heldout=asked, lessons=lessons)


def with_absolute_paths(config: TrainConfig) -> TrainConfig:
    """Actors of a cluster that was there before run in other folders than this process."""
    data = config.data
    lessons = str(Path(data.lessons).resolve()) if data.lessons else ""
    cache = str(Path(config.cluster.reference_cache).resolve())
    return replace(
        config,
        cluster=replace(config.cluster, reference_cache=cache),
        output=str(Path(config.output).resolve()),
        model=with_absolute_path(config.model),
        data=replace(data, root=str(Path(data.root).resolve()), lessons=lessons),
    )


def _resumed(folder: Path, data: Data, start: Checkpoint | None) -> Resumed | None:
    if start is None:
        return None
    first = answers_file(folder, BENCHMARK, 0)
    groups = read_answers(first, data.heldout) if first.exists() else []
    evaluations = (Evaluation(step=0, groups=tuple(groups)),) if groups else ()
    is_branch = start.folder.parent.parent.resolve() != folder.resolve()
    return Resumed(wandb_id="" if is_branch else start.record.wandb_id, evaluations=evaluations)


def _crew_in_words(sections: CrewConfig) -> str:
    cluster = sections.cluster
    counts = {"learner": cluster.num_learners, "rollout worker": cluster.num_rollout_workers}
    counts |= {"reference": int(sections.with_reference), "reward worker": cluster.num_reward_workers}
    return ", ".join(counted(count, kind) for kind, count in counts.items() if count)


def plain(config: Any) -> dict[str, Any]:
    """The config as nested dicts of plain values."""
    return asdict(config, dict_factory=lambda items: {k: v.value if isinstance(v, Enum) else v for k, v in items})


if __name__ == "__main__":
    import sys

    from launch.cli import assay

    raise SystemExit(assay(["train", *sys.argv[1:]]))
