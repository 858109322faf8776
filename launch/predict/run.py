"""`assay predict`: verdicts, boxes, maps and reasons for a folder of photos."""

import asyncio
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from actors.inspection import InspectionConfig, Inspectors, start_inspectors
from actors.model_folder import check_folder, check_localize
from actors.peers import while_alive
from actors.placement import without_learning
from actors.room import join_ray
from conf.schema import PredictConfig
from launch.predict.album import Album, Drawing
from launch.predict.page import NAME, PageRecord, write_page
from launch.predict.truth import Truth, counts_by_truth, truth_of
from launch.run.crash import CRASH
from launch.run.ending import End, each_done, recorded_end
from launch.run.folder import CONFIG, dump_config, run_folder, write_json, write_whole
from launch.run.members import SUMMARY
from launch.run.model_folder import asking_at, make_ready
from launch.run.paths import with_absolute_paths
from launch.run.place import Place
from launch.run.progress import ImageProgress
from launch.run.signals import stop_on_signals
from launch.run.starters import starter_warnings
from rl.brake import Brake
from rl.checkpoints import FOLDER
from rl.data.demo.synthesis import is_of_demo
from rl.data.images import Size, check_mask_size, decoded_size, in_threads, open_mask, stated_size
from rl.data.photos import PREDICTIONS, Photo, find_photos, masks_of, references_of
from rl.data.prompts import PromptBuilder, check_looks, check_prompts
from rl.data.questions import QUESTIONS
from rl.evaluation.verdicts import VERDICTS
from rl.faults import UserError
from rl.timing import Timings
from rl.types import Sample, Target
from rollout.config import reads_words

INSPECTION = "inspection"


@dataclass(frozen=True, kw_only=True)
class Work:
    """The images of a run, each opened once."""

    samples: list[Sample]
    """Questions about the photos that open."""
    photos: list[Photo]
    """All photos, the damaged ones too."""
    damaged: list[tuple[Photo, str]]
    """The photos that cannot be inspected, each with the reason."""
    truth: Truth
    builder: PromptBuilder
    warnings: Sequence[str]
    """Sentences on what this model cannot do with these photos."""


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """A run of `assay predict`; plays launch.run.ending.EndingRun."""

    config: PredictConfig
    place: Place
    work: Work
    album: Album
    brake: Brake
    began: float
    """Reading of time.perf_counter at the start."""
    timings: Timings
    """The seconds of the inspection."""

    @property
    def folder(self) -> Path:
        return self.place.folder

    def how_far(self) -> str:
        return f"after {len(self.album.predictions)} of {len(self.work.photos)} images"

    def how_to_go_on(self, error: Exception) -> str:
        return ""

    def record(self, end: End) -> dict[str, Any]:
        seconds = {"seconds": time.perf_counter() - self.began} | _spent(self.timings, self.album)
        summary = _summary(self.config, self.album, self.work.truth, seconds) | end.entry
        if not end.is_lost:
            each_done(
                lambda: write_json(self.folder / SUMMARY, summary),
                lambda: write_page(self.folder, _page_record(self, summary, end.sentence)),
            )
        return summary


def main(config: PredictConfig) -> int:
    """Inspect the images; the last printed line is the summary, and the exit code is 1 if some do not open."""
    began = time.perf_counter()
    config = with_absolute_paths(config)
    check_free(Path(config.output))
    warn_of_reference(config)
    work = read_work(config)
    with run_folder(config.output) as folder:
        write_whole(folder / CONFIG, dump_config(config))
        album = Album(
            folder,
            Drawing(heat_top=config.heat_top, resize=config.localize.resize.value),
            work.builder,
            work.photos,
            work.truth,
        )
        run = Inspection(
            config=config, place=Place(folder), work=work, album=album, brake=Brake(), began=began, timings=Timings()
        )
        return _inspect_and_record(run)


def warn_of_reference(config: PredictConfig) -> None:
    """Print a warning if the model was trained to compare images and has none to compare with, or the reverse."""
    compared = asking_at(config.model.path).get("data.with_reference")
    if compared is True and not config.reference:
        print(f"warning: {config.model.path} was trained to compare with a normal image; give one, reference=…")
    elif compared is False and config.reference:
        print(f"warning: {config.model.path} was trained on one image alone; leave reference={config.reference} out")


def _inspect_and_record(run: Inspection) -> int:
    """Inspect what opens, record the end whatever it is, print the summary; return the exit code."""
    _set_damaged_aside(run)
    with recorded_end(run) as end:
        asyncio.run(_start_actors_and_inspect(run))
    print(json.dumps(end.summary))
    return end.exit_code or int(bool(run.work.damaged))


def _set_damaged_aside(run: Inspection) -> None:
    for _, sentence in run.work.damaged:
        print(f"assay predict: {sentence}", file=sys.stderr)
    if run.work.damaged:
        run.album.add_damaged(run.work.damaged)


async def _start_actors_and_inspect(run: Inspection) -> None:
    config, brake, cluster = run.config, run.brake, without_learning(run.config.cluster)
    head = join_ray(cluster, with_reference=True)
    stop_on_signals(brake)
    sections = InspectionConfig(
        model=config.model,
        data=config.data,
        rollout=config.rollout,
        cluster=cluster,
        localize=config.localize,
    )
    progress = ImageProgress(len(run.work.samples))
    progress.say(f"starting {cluster.num_rollout_workers} × rollout worker and a frozen model to look with")
    try:
        starting = start_inspectors(sections, progress.say)
        inspectors = await brake.unless_pulled(while_alive(starting, [head]))
        inspecting = _inspect(inspectors, run, progress)
        with run.timings.shared_span(INSPECTION):
            await brake.unless_pulled(while_alive(inspecting, [head, *inspectors.everyone]))
    finally:
        progress.stop()


async def _inspect(inspectors: Inspectors, run: Inspection, progress: ImageProgress) -> None:
    """Answer batch by batch and put what comes out into the album."""
    num_done, album = 0, run.album
    async with aclosing(inspectors.inspect(run.work.samples, run.config.batch)) as batches:
        async for groups in batches:
            run.place.check()
            await asyncio.to_thread(album.add, groups)
            num_done += len(groups)
            opened = {kind: count for kind, count in album.counts().items() if kind != "error"}
            progress.show(num_done, opened)


def check_free(output: Path) -> None:
    """Raise a UserError for a folder that holds more than a run leaves that ended before its first image."""
    found = sorted(each.name for each in output.glob("[!.]*") if each.name not in (CONFIG, SUMMARY, NAME, CRASH))
    if found:
        held = "predictions" if PREDICTIONS in found else f"something else ({found[0]})"
        raise UserError(f"output={output} holds {held}; give another folder")


def read_work(config: PredictConfig) -> Work:
    """Open every file once; raise a UserError for what is wrong with the whole, before an actor starts."""
    make_ready(config.model.path)
    check_folder(config.model.path)
    check_localize(config.model.path, config.localize)
    builder = PromptBuilder(config.model.path, config.data)
    photos = paired_photos(config)
    paths = list(dict.fromkeys(path for photo in photos for path in _files(photo)))
    print(f"opening {len(paths)} files", flush=True)
    masks = [photo.mask for photo in photos if photo.mask]
    opened_masks = dict(zip(masks, in_threads(_size_and_defect, masks), strict=True))
    damaged = _damaged(photos, paths, builder)
    if len(damaged) == len(photos):
        raise UserError(f"none of the {len(photos)} images can be inspected; the first: {damaged[0][1]}")
    lost = {photo.id for photo, _ in damaged}
    opened = [photo for photo in photos if photo.id not in lost]
    for photo in opened:
        if photo.mask:
            check_mask_size(photo.mask, opened_masks[photo.mask][0], stated_size(photo.path))
    samples = [sample_of(photo, config) for photo in opened]
    check_prompts(samples, builder, config.rollout.max_prompt_tokens, config.rollout.max_images)
    check_looks(samples, builder, config.data.anomaly_words, read=reads_words(config.localize))
    truth = truth_of(photos, {mask for mask, (_, marks_defect) in opened_masks.items() if not marks_defect})
    are_demo = all(is_of_demo(photo.path) for photo in opened)
    warnings = starter_warnings(config.model.path, f"input={config.input}", are_demo=are_demo)
    for sentence in warnings:
        print(f"warning: {sentence}", flush=True)
    return Work(samples=samples, photos=photos, damaged=damaged, truth=truth, builder=builder, warnings=warnings)


def _size_and_defect(mask: Path) -> tuple[Size, bool]:
    """Return the size of a mask, and if it marks a defect."""
    pixels = open_mask(mask)
    height, width = pixels.shape
    return (width, height), bool(pixels.any())


def _damaged(photos: Sequence[Photo], paths: Sequence[Path], builder: PromptBuilder) -> list[tuple[Photo, str]]:
    """Return the photos that cannot be inspected, each with what is wrong with it or its reference."""
    sentences = in_threads(lambda path: _fault(path, builder), paths)
    faults = {path: sentence for path, sentence in zip(paths, sentences, strict=True) if sentence}
    damaged = []
    for photo in photos:
        found = [faults[path] for path in _files(photo) if path in faults]
        if found:
            damaged.append((photo, found[0]))
    return damaged


def paired_photos(config: PredictConfig) -> list[Photo]:
    """Find the images of the input, each with its reference and its mask."""
    photos = find_photos(config.input)
    references, masks = references_of(config.reference, photos), masks_of(config.masks, photos)
    return [replace(photo, reference=references.get(photo.id), mask=masks.get(photo.id)) for photo in photos]


def sample_of(photo: Photo, config: PredictConfig) -> Sample:
    """Return the question about a photo, whose truth nobody knows."""
    data = config.data
    return Sample(
        id=photo.id,
        images=tuple(_files(photo)),
        question=data.question or QUESTIONS[data.task],
        target=Target(label=""),
        category=photo.path.parent.name,
        task=data.task,
    )


def _spent(timings: Timings, album: Album) -> dict[str, float]:
    """Return the seconds of the inspection, and those an image, its mean; {} if no image was inspected."""
    inspected = sum(each.error is None for each in album.predictions)
    seconds = timings.drain().get(f"time/{INSPECTION}")
    if seconds is None or not inspected:
        return {}
    return {"inspection_seconds": seconds, "seconds_per_image": seconds / inspected}


def _summary(config: PredictConfig, album: Album, truth: Truth, seconds: Mapping[str, float]) -> dict[str, Any]:
    """Return the numbers of the run."""
    counts = album.counts()
    known = {"truth": truth.source, "confusion": counts_by_truth(album.predictions)} if truth.source else {}
    return {
        "output": config.output,
        "page": str(Path(config.output) / NAME),
        "images": len(album.predictions),
        **{kind: counts.get(kind, 0) for kind in VERDICTS},
        "corrupt": counts.get("error", 0),
        **known,
        **{name: round(value, 4) for name, value in album.metrics().items()},
        **{name: _short(value) for name, value in seconds.items()},
    }


def _short(seconds: float) -> float:
    """Round to a tenth of a second, a short time to three digits."""
    return round(seconds, 1) if seconds >= 10 else float(f"{seconds:.3g}")


def _page_record(run: Inspection, summary: dict[str, Any], ended: str) -> PageRecord:
    config, data = run.config, run.config.data
    facts = {
        "Images": config.input,
        "Compared with": config.reference or "nothing",
        "Model": config.model.path,
        "Question": data.question or QUESTIONS[data.task],
        **_durations(summary, config.batch),
    }
    return PageRecord(
        title=title_of(config),
        facts={label: text for label, text in facts.items() if text},
        predictions=run.album.predictions,
        heat_top=config.heat_top,
        metrics=run.album.metrics(),
        truth=run.work.truth.sentence,
        warnings=run.work.warnings,
        ended=ended,
    )


def _durations(summary: Mapping[str, Any], batch: int) -> dict[str, str]:
    """Return durations in words; an image has none of its own, since those of a batch are answered at once."""
    whole = f"{summary['seconds']:g} s"
    if "seconds_per_image" not in summary:
        return {"Duration": whole}
    return {
        "Duration": f"{whole}, {summary['inspection_seconds']:g} s of it after the start-up",
        "Time an image": f"{summary['seconds_per_image']:g} s on average, up to {batch} answered at once",
    }


def title_of(config: PredictConfig) -> str:
    """Return the model or its checkpoint, as seen from the working directory, and what it inspects."""
    model = Path(config.model.path)
    model = model.parent if model.parent.parent.name == FOLDER else model
    seen = model.relative_to(Path.cwd()) if model.is_relative_to(Path.cwd()) else model
    return f"{seen} on {Path(config.input).resolve().name if os.path.exists(config.input) else 'images'}"


def _files(photo: Photo) -> list[Path]:
    """Return the images that the model is shown, in order."""
    return [photo.reference, photo.path] if photo.reference else [photo.path]


def _fault(path: Path, builder: PromptBuilder) -> str:
    """Say what keeps an image from being inspected; "" if nothing does."""
    try:
        builder.num_image_tokens(path, decoded_size(path))
    except UserError as error:
        return str(error)
    return ""
