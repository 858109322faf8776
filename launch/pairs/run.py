"""`assay pairs`: the samples on a model's boundary, and for each a right and a wrong trajectory (DCR²-AD)."""

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import ray

from actors.answering import AnsweringConfig, Engines, start_engines
from actors.model_folder import check_folder
from actors.peers import while_alive
from actors.placement import without_learning
from actors.room import join_ray
from conf.schema import PairsConfig
from launch.pairs.folder import PairsFolder, claim, key_of
from launch.pairs.report import write_pairs_report
from launch.run.folder import CONFIG, dump_config, run_folder, write_json
from launch.run.members import SUMMARY
from launch.run.progress import ImageProgress
from launch.run.resume import how_to_go_on
from launch.run.samples import offers_of, read_split, with_absolute_path
from launch.run.signals import SIGNALS, exit_code
from rl.brake import Brake, Stopped
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
"""Samples that tell, when none is answered, that the model does not know the form, however small the batches."""


@dataclass(frozen=True, kw_only=True)
class Run:
    config: PairsConfig
    pairings: list[Pairing]
    """One a training sample."""
    folder: PairsFolder
    brake: Brake


def main(config: PairsConfig) -> int:
    """Its last printed line is the summary."""
    began = time.perf_counter()
    config = with_absolute_paths(config)
    print("reading the data", flush=True)
    pairings = read_pairings(config)
    samples = [each.sample for each in pairings]
    with run_folder(config.output) as path:
        claim(path, key_of(config, samples))
        (path / CONFIG).write_text(dump_config(config))
        run = Run(config=config, pairings=pairings, folder=PairsFolder(path, samples, config), brake=Brake())
        return _go(run, began)


def _go(run: Run, began: float) -> int:
    folder, ended = run.folder, {"failed": "stopped before the end"}
    go_on = f"{how_to_go_on(folder.path)} goes on"
    try:
        asyncio.run(_run(run))
        folder.write_pairs()
        if not folder.pairs():
            raise UserError(_why_none(run))
        ended = {}
    except Stopped:
        ended = {"stopped": f"stopped by {run.brake.reason} with {folder.progress()}"}
    except RunFailure as error:
        ended = {"failed": f"{error}; {go_on}"}
        raise RunFailure(ended["failed"]) from error
    except Exception as error:
        ended = {"failed": " ".join(str(error).split())}
        raise
    finally:
        ray.shutdown()
        summary = summarize(run, time.perf_counter() - began) | ended
        write_json(folder.path / SUMMARY, summary)
        write_pairs_report(folder, run.config, summary)
    if ended:
        print(f"{ended['stopped']}; {go_on}", flush=True)
        return exit_code(run.brake.reason)
    print(json.dumps(summary))
    return 0


async def _run(run: Run) -> None:
    config, cluster = run.config, without_learning(run.config.cluster, with_frozen=False)
    by_itself = config.pairs.teacher is PairTeacherKind.policy
    needs_engines = not run.folder.is_selected or (by_itself and not run.folder.is_written)
    if needs_engines:
        join_ray(cluster, with_reference=False)
    # After Ray, which takes SIGTERM for itself.
    for number, name in SIGNALS.items():
        asyncio.get_running_loop().add_signal_handler(number, run.brake.pull, name)
    # Whoever is to write and could not must not cost a selection.
    writer = None if run.folder.is_written else await run.brake.unless_pulled(_writer(run))
    if not needs_engines:
        await run.brake.unless_pulled(_make(run, None, writer))
        return
    print(f"starting {cluster.num_rollout_workers} × rollout worker", flush=True)
    sections = AnsweringConfig(model=config.model, data=config.data, rollout=config.rollout, cluster=cluster)
    engines = await run.brake.unless_pulled(start_engines(sections, partial(print, flush=True)))
    await run.brake.unless_pulled(while_alive(_make(run, engines, writer or engines), engines.everyone))


async def _make(run: Run, engines: Engines | None, writer: PairTeacher | None) -> None:
    """Both steps, each going on where its journal ends."""
    if not run.folder.is_selected:
        assert engines
        await _select(run, engines)
    if not run.folder.is_written:
        assert writer
        await _write(run, writer)


async def _select(run: Run, engines: Engines) -> None:
    pairs, folder = run.config.pairs, run.folder

    async def lines(samples: Sequence[Sample]) -> list[Line]:
        answers = await engines.option_logprobs(samples, pairs.num_answers, seed_of(run.config.seed, samples[0].id, 0))
        return [_selected(sample, told, pairs.margin) for sample, told in zip(samples, answers, strict=True)]

    progress = ImageProgress(len(folder.samples), noun="samples")

    def show() -> None:
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


async def _writer(run: Run) -> PairTeacher | None:
    """Who writes; None where the engines do."""
    config = run.config
    if config.pairs.teacher is PairTeacherKind.template:
        return TemplateTeacher()
    if config.pairs.teacher is PairTeacherKind.policy:
        return None
    teacher = EndpointPairTeacher(config.rollout, config.model.path, config.data)
    await teacher.check()
    return teacher


async def _write(run: Run, teacher: PairTeacher) -> None:
    config, folder = run.config, run.folder
    ids = {sample.id for sample in folder.kept}
    pairings = [each for each in run.pairings if each.sample.id in ids]

    async def lines(batch: Sequence[Pairing]) -> Sequence[Line]:
        return await write_pairs(batch, teacher, config.pairs, config.seed)

    progress = ImageProgress(len(pairings), noun="pairs")

    def show() -> None:
        rejected = folder.rejected()
        made = len(folder.trajectories.lines) - sum(rejected.values())
        progress.show(len(folder.trajectories.lines), {"verified": made, **rejected})

    try:
        with folder.trajectories:
            await in_batches(pairings, folder.trajectories, config.pairs.batch, lines, show)
    finally:
        progress.stop()


def read_pairings(config: PairsConfig) -> list[Pairing]:
    """The training samples of `assay train`; what is wrong with them is said before an actor starts."""
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


def with_absolute_paths(config: PairsConfig) -> PairsConfig:
    """Actors of a cluster that was there before run in other folders than this process."""
    data = replace(config.data, root=str(Path(config.data.root).resolve()))
    output = str(Path(config.output).resolve())
    return replace(config, output=output, model=with_absolute_path(config.model), data=data)


def summarize(run: Run, seconds: float) -> dict[str, Any]:
    """What came out, in numbers."""
    folder, selected = run.folder, selects(run.config.pairs)
    return {
        "output": str(folder.path),
        "samples": len(folder.samples),
        "kept": len(folder.kept),
        **({"unanswered": folder.selection_counts()["unanswered"]} if selected else {}),
        "pairs": len(folder.pairs()),
        "rejected": folder.rejected(),
        "seconds": round(seconds, 1),
    }


def _why_none(run: Run) -> str:
    pairs, folder = run.config.pairs, run.folder
    if folder.kept:
        return f"none of {len(folder.kept)} samples got two verified texts; {folder.path}/report.html says why"
    if folder.is_unanswered:
        return (
            f"no answer of {run.config.model.path} to {len(folder.selection.lines)} samples gives an option; choose a "
            "model that knows the form of data.task=routed"
        )
    return (
        f"the model finds the right option of none of {len(folder.samples)} samples as likely as chance; raise "
        f"pairs.margin={pairs.margin:g} or pairs.num_answers={pairs.num_answers}"
    )
