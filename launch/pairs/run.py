"""`assay pairs`: the samples on a model's boundary, and for each a right and a wrong trajectory (DCR²-AD)."""

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from actors.answering import AnsweringConfig, Engines, start_engines
from actors.model_folder import check_folder
from actors.peers import while_alive
from actors.placement import without_learning
from actors.room import join_ray
from conf.schema import PairsConfig
from launch.pairs.folder import PairsFolder, claim, key_of
from launch.pairs.report import write_pairs_report
from launch.run.ending import End, Ending, each_done, recorded_end
from launch.run.folder import CONFIG, REPORT, dump_config, run_folder, write_json, write_whole
from launch.run.members import SUMMARY
from launch.run.model_folder import make_ready
from launch.run.paths import with_absolute_paths
from launch.run.place import Place
from launch.run.progress import ImageProgress
from launch.run.resume import how_to_go_on
from launch.run.samples import offers_of, read_split
from launch.run.signals import stop_on_signals
from rl.brake import Brake
from rl.data.pairs.boundary import chance_of
from rl.data.pairs.config import PairTeacherKind, asks_engines, selects
from rl.data.pairs.journal import Line, in_batches
from rl.data.pairs.trajectories import (
    CHOSEN,
    REJECTED,
    Pairing,
    PairTeacher,
    TemplateTeacher,
    pairing,
    seed_of,
    write_pairs,
)
from rl.data.prompts import PromptBuilder, check_prompts
from rl.faults import RunFailure, UserError
from rl.types import Sample
from rollout.pair_teacher import EndpointPairTeacher

FEWEST_ASKED = 16
"""Unanswered samples that show that the model does not know the form, however small the batches."""


@dataclass(frozen=True, kw_only=True)
class PairsRun:
    """A run of `assay pairs`; plays launch.run.ending.EndingRun."""

    config: PairsConfig
    pairings: list[Pairing]
    """The training samples, each with its right and its wrong knowledge."""
    journals: PairsFolder
    place: Place
    brake: Brake
    began: float
    """Reading of time.perf_counter at the start."""

    @property
    def folder(self) -> Path:
        return self.journals.path

    def how_far(self) -> str:
        return f"with {self.journals.progress()}"

    def how_to_go_on(self, error: Exception) -> str:
        return self.going_on() if isinstance(error, RunFailure | OSError) else ""

    def going_on(self) -> str:
        """Name the command that goes on with the journals."""
        return f"{how_to_go_on(self.folder)} goes on"

    def record(self, end: End) -> dict[str, Any]:
        summary = summarize(self, time.perf_counter() - self.began) | end.entry
        if not end.is_lost:
            each_done(
                lambda: write_json(self.folder / SUMMARY, summary),
                lambda: write_pairs_report(self.journals, self.config, summary),
            )
        return summary


def main(config: PairsConfig) -> int:
    """Select samples and write their pairs; the last printed line is the summary."""
    began = time.perf_counter()
    config = with_absolute_paths(config)
    print("reading the data", flush=True)
    pairings = read_pairings(config)
    samples = [each.sample for each in pairings]
    with run_folder(config.output) as path:
        claim(path, key_of(config, samples))
        write_whole(path / CONFIG, dump_config(config))
        journals = PairsFolder(path, samples, config)
        run = PairsRun(
            config=config, pairings=pairings, journals=journals, place=Place(path), brake=Brake(), began=began
        )
        return _make_pairs_and_record(run)


def _make_pairs_and_record(run: PairsRun) -> int:
    """Make the pairs, record the end whatever it is, print how the run ended; return the exit code."""
    with recorded_end(run) as end:
        asyncio.run(_start_engines_and_make_texts(run))
        run.place.check()
        run.journals.write_pairs()
        if not run.journals.pairs():
            raise UserError(_why_none(run))
    if end.ending is Ending.stopped:
        print(f"{end.sentence}; {run.going_on()}", flush=True)
    else:
        print(json.dumps(end.summary))
    return end.exit_code


async def _start_engines_and_make_texts(run: PairsRun) -> None:
    """Start engines if there is anything left to ask them, then select and write."""
    config, brake, journals = run.config, run.brake, run.journals
    cluster = without_learning(config.cluster, with_frozen=False)
    engines_write = config.pairs.teacher is PairTeacherKind.policy and not journals.is_written
    needs_engines = not journals.is_selected or engines_write
    watched = [join_ray(cluster, with_reference=False)] if needs_engines else []
    stop_on_signals(brake)
    # Before the selection, whose cost would be lost if the teacher could not be reached after it.
    teacher = None if journals.is_written else await brake.unless_pulled(_teacher_beside_engines(config))
    if not watched:
        await brake.unless_pulled(_select_and_write(run, None, teacher))
        return
    print(f"starting {cluster.num_rollout_workers} × rollout worker", flush=True)
    sections = AnsweringConfig(model=config.model, data=config.data, rollout=config.rollout, cluster=cluster)
    starting = start_engines(sections, partial(print, flush=True))
    engines = await brake.unless_pulled(while_alive(starting, watched))
    working = _select_and_write(run, engines, teacher or engines)
    await brake.unless_pulled(while_alive(working, [*watched, *engines.everyone]))


async def _teacher_beside_engines(config: PairsConfig) -> PairTeacher | None:
    """Return the teacher, an endpoint once it has answered; None if the engines write."""
    if config.pairs.teacher is PairTeacherKind.template:
        return TemplateTeacher()
    if config.pairs.teacher is PairTeacherKind.policy:
        return None
    teacher = EndpointPairTeacher(config.rollout, config.model.path, config.data, partial(print, flush=True))
    await teacher.check()
    return teacher


async def _select_and_write(run: PairsRun, engines: Engines | None, teacher: PairTeacher | None) -> None:
    """Do what is left of both steps, each from where its journal ends."""
    if not run.journals.is_selected:
        assert engines
        await _select(run, engines)
    if not run.journals.is_written:
        assert teacher
        await _write(run, teacher)


async def _select(run: PairsRun, engines: Engines) -> None:
    """Ask the engines how likely the right option of each sample is, and keep the samples on the boundary."""
    pairs, folder = run.config.pairs, run.journals

    async def lines(samples: Sequence[Sample]) -> list[Line]:
        answers = await engines.option_logprobs(samples, pairs.num_answers, seed_of(run.config.seed, samples[0].id, 0))
        return [_selected(sample, told, pairs.margin) for sample, told in zip(samples, answers, strict=True)]

    progress = ImageProgress(len(folder.samples), noun="samples")

    def show() -> None:
        run.place.check()
        progress.show(len(folder.selection.lines), folder.selection_counts())
        if folder.is_unanswered and len(folder.selection.lines) >= max(pairs.batch * 2, FEWEST_ASKED):
            raise UserError(_why_none(run))

    try:
        with folder.selection:
            await in_batches(folder.samples, folder.selection, pairs.batch, lines, show)
    finally:
        progress.stop()


def _selected(sample: Sample, answers: list[dict[str, float]], margin: float) -> Line:
    chance = chance_of(answers, sample.target.option, len(sample.target.options))
    return {
        "id": sample.id,
        "p_right": chance.p_right,
        "num_options": chance.num_options,
        "answered": chance.answered,
        "kept": chance.is_near(margin),
    }


async def _write(run: PairsRun, teacher: PairTeacher) -> None:
    """Have the teacher write a right and a wrong text for each sample that was kept."""
    config, folder = run.config, run.journals
    ids = {sample.id for sample in folder.kept}
    pairings = [each for each in run.pairings if each.sample.id in ids]

    async def lines(batch: Sequence[Pairing]) -> Sequence[Line]:
        return await write_pairs(batch, teacher, config.pairs, config.seed)

    progress = ImageProgress(len(pairings), noun="pairs")

    def show() -> None:
        run.place.check()
        rejected = folder.rejected()
        made = len(folder.trajectories.lines) - sum(rejected.values())
        progress.show(len(folder.trajectories.lines), {"verified": made, **rejected})

    try:
        with folder.trajectories:
            await in_batches(pairings, folder.trajectories, config.pairs.batch, lines, show)
    finally:
        progress.stop()


def read_pairings(config: PairsConfig) -> list[Pairing]:
    """Read the training samples of `assay train`; raise a UserError for what is wrong before an actor starts."""
    make_ready(config.model.path)
    check_folder(config.model.path)
    training, _ = read_split(config.data, config.seed)
    offers = offers_of(training, config.data)
    pairings = [pairing(sample, offer, config.pairs.wrong) for sample, offer in zip(training, offers, strict=True)]
    builder = PromptBuilder(config.model.path, config.data)
    asked = list(training) if asks_engines(config.pairs) else []
    if config.pairs.teacher is PairTeacherKind.policy:
        asked += [each.order(side, 0).hinted for each in pairings for side in (CHOSEN, REJECTED)]
    check_prompts(asked, builder, config.rollout.max_prompt_tokens, config.rollout.max_images)
    return pairings


def summarize(run: PairsRun, seconds: float) -> dict[str, Any]:
    """Return the numbers of the run."""
    folder, selected = run.journals, selects(run.config.pairs)
    return {
        "output": str(folder.path),
        "samples": len(folder.samples),
        "kept": len(folder.kept),
        **({"unanswered": folder.selection_counts()["unanswered"]} if selected else {}),
        "pairs": len(folder.pairs()),
        "rejected": folder.rejected(),
        "seconds": round(seconds, 1),
    }


def _why_none(run: PairsRun) -> str:
    pairs, folder = run.config.pairs, run.journals
    if folder.kept:
        return f"none of {len(folder.kept)} samples got two verified texts; {folder.path / REPORT} says why"
    if folder.is_unanswered:
        return (
            f"no answer of {run.config.model.path} to {len(folder.selection.lines)} samples gives an option; choose a "
            "model that knows the form of data.task=routed"
        )
    return (
        f"the model finds the right option of none of {len(folder.samples)} samples as likely as chance; raise "
        f"pairs.margin={pairs.margin:g} or pairs.num_answers={pairs.num_answers}"
    )
