"""`assay predict`: verdicts, boxes, maps and reasons for a folder of photos."""

import asyncio
import json
import os
import sys
import time
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ray

from actors.inspection import InspectionConfig, Inspectors, start_inspectors
from actors.model_folder import check_folder, check_localize
from actors.peers import while_alive
from actors.placement import without_learning
from actors.room import join_ray
from conf.schema import PredictConfig
from launch.predict.album import Album, Drawing
from launch.predict.page import NAME, PageRecord, write_page
from launch.run.folder import CONFIG, dump_config, run_folder, write_json
from launch.run.members import SUMMARY
from launch.run.progress import ImageProgress
from launch.run.samples import with_absolute_path
from launch.run.signals import SIGNALS, exit_code
from rl.brake import Brake, Stopped
from rl.data.images import check_mask_size, decoded_size, in_threads, stated_size
from rl.data.photos import PREDICTIONS, Photo, find_photos, masks_of, references_of
from rl.data.prompts import PromptBuilder, check_looks, check_prompts
from rl.data.questions import QUESTIONS
from rl.faults import UserError
from rl.types import Sample, Target
from rollout.config import reads_words


@dataclass(frozen=True, kw_only=True)
class Work:
    """What there is to inspect."""

    samples: list[Sample]
    """One a photo that opens."""
    photos: list[Photo]
    damaged: list[tuple[Photo, str]]
    """The others, each with what is wrong with it."""
    builder: PromptBuilder


def main(config: PredictConfig) -> int:
    """Its last printed line is the summary; 1 when there were images that do not open."""
    began = time.perf_counter()
    config = with_absolute_paths(config)
    check_free(Path(config.output))
    work = read_work(config)
    with run_folder(config.output) as folder:
        (folder / CONFIG).write_text(dump_config(config))
        return _go(config, folder, work, began)


def _go(config: PredictConfig, folder: Path, work: Work, began: float) -> int:
    drawing = Drawing(heat_top=config.heat_top, resize=config.localize.resize.value)
    album = Album(folder, drawing, work.builder, work.photos)
    for _, sentence in work.damaged:
        print(f"assay predict: {sentence}", file=sys.stderr)
    if work.damaged:
        album.add_damaged(work.damaged)
    brake, ended = Brake(), "stopped before the end"
    try:
        asyncio.run(_run(config, work.samples, album, brake))
        ended = ""
    except Stopped:
        ended = f"stopped by {brake.reason} after {len(album.predictions)} of {len(work.photos)} images"
    except Exception as error:
        ended = " ".join(str(error).split())
        raise
    finally:
        ray.shutdown()
        summary = summarize(config, album, time.perf_counter() - began, ended)
        write_json(folder / SUMMARY, summary)
        write_page(folder, _record(config, album, summary, ended))
    print(json.dumps(summary))
    return exit_code(brake.reason) if ended else int(bool(work.damaged))


async def _run(config: PredictConfig, samples: Sequence[Sample], album: Album, brake: Brake) -> None:
    cluster = without_learning(config.cluster)
    join_ray(cluster, with_reference=True)
    # After Ray, which takes SIGTERM for itself.
    for number, name in SIGNALS.items():
        asyncio.get_running_loop().add_signal_handler(number, brake.pull, name)
    sections = InspectionConfig(
        model=config.model,
        data=config.data,
        rollout=config.rollout,
        cluster=cluster,
        localize=config.localize,
    )
    progress = ImageProgress(len(samples))
    progress.say(f"starting {cluster.num_rollout_workers} × rollout worker and a frozen model to look with")
    try:
        inspectors = await brake.unless_pulled(start_inspectors(sections, progress.say))
        inspecting = _inspect(inspectors, samples, config.batch, album, progress)
        await brake.unless_pulled(while_alive(inspecting, inspectors.everyone))
    finally:
        progress.stop()


async def _inspect(
    inspectors: Inspectors, samples: Sequence[Sample], batch: int, album: Album, progress: ImageProgress
) -> None:
    num_done = 0
    async with aclosing(inspectors.inspect(samples, batch)) as batches:
        async for groups in batches:
            await asyncio.to_thread(album.add, groups)
            num_done += len(groups)
            progress.show(num_done, {kind: count for kind, count in album.counts().items() if kind != "error"})


def check_free(output: Path) -> None:
    """Raises a UserError for a folder that holds more than a run leaves which ended before its first image."""
    found = sorted(each.name for each in output.glob("[!.]*") if each.name not in (CONFIG, SUMMARY, NAME))
    if found:
        held = "predictions" if PREDICTIONS in found else f"something else ({found[0]})"
        raise UserError(f"output={output} holds {held}; give another folder")


def read_work(config: PredictConfig) -> Work:
    """Every file has been opened once; what is wrong with the whole is said before an actor starts."""
    check_folder(config.model.path)
    check_localize(config.model.path, config.localize)
    builder = PromptBuilder(config.model.path, config.data)
    photos = paired_photos(config)
    paths = list(dict.fromkeys(path for photo in photos for path in _files(photo)))
    print(f"opening {len(paths)} images", flush=True)
    masks = [photo.mask for photo in photos if photo.mask]
    mask_sizes = dict(zip(masks, in_threads(decoded_size, masks), strict=True))
    faults = dict(zip(paths, in_threads(lambda path: _fault(path, builder), paths), strict=True))
    damaged = [(photo, fault) for photo in photos if (fault := next(filter(None, map(faults.get, _files(photo))), ""))]
    if len(damaged) == len(photos):
        raise UserError(f"none of the {len(photos)} images can be inspected; the first: {damaged[0][1]}")
    lost = {photo.id for photo, _ in damaged}
    for photo in photos:
        if photo.mask and photo.id not in lost:
            check_mask_size(photo.mask, mask_sizes[photo.mask], stated_size(photo.path))
    samples = [sample_of(photo, config) for photo in photos if photo.id not in lost]
    check_prompts(samples, builder, config.rollout.max_prompt_tokens, config.rollout.max_images)
    check_looks(samples, builder, config.data.anomaly_words, read=reads_words(config.localize))
    return Work(samples=samples, photos=photos, damaged=damaged, builder=builder)


def paired_photos(config: PredictConfig) -> list[Photo]:
    """The images of the input, each with its reference and its mask."""
    photos = find_photos(config.input)
    references, masks = references_of(config.reference, photos), masks_of(config.masks, photos)
    return [replace(photo, reference=references.get(photo.id), mask=masks.get(photo.id)) for photo in photos]


def sample_of(photo: Photo, config: PredictConfig) -> Sample:
    """The question about a photo, whose truth nobody knows."""
    data = config.data
    return Sample(
        id=photo.id,
        images=tuple(_files(photo)),
        question=data.question or QUESTIONS[data.task],
        target=Target(label=""),
        category=photo.path.parent.name,
        task=data.task,
    )


def with_absolute_paths(config: PredictConfig) -> PredictConfig:
    """Actors of a cluster that was there before run in other folders than this process."""
    return replace(config, output=str(Path(config.output).resolve()), model=with_absolute_path(config.model))


def summarize(config: PredictConfig, album: Album, seconds: float, ended: str) -> dict[str, Any]:
    """What came out, in numbers."""
    counts = album.counts()
    return {
        "output": config.output,
        "page": str(Path(config.output) / NAME),
        "images": len(album.predictions),
        **{kind: counts.get(kind, 0) for kind in ("defective", "normal", "unreadable")},
        "corrupt": counts.get("error", 0),
        **{name: round(value, 4) for name, value in album.pixel_metrics().items()},
        "seconds": round(seconds, 1),
        **({"stopped": ended} if ended else {}),
    }


def _record(config: PredictConfig, album: Album, summary: dict[str, Any], ended: str) -> PageRecord:
    data = config.data
    facts = {
        "Images": config.input,
        "Compared with": config.reference or "nothing",
        "Model": config.model.path,
        "Question": data.question or QUESTIONS[data.task],
        "Duration": f"{summary['seconds']:g} s",
    }
    return PageRecord(
        title=Path(config.input).resolve().name if os.path.exists(config.input) else "Images",
        facts={label: text for label, text in facts.items() if text},
        predictions=album.predictions,
        heat_top=config.heat_top,
        metrics=album.pixel_metrics(),
        ended=ended,
    )


def _files(photo: Photo) -> list[Path]:
    """What the model sees, in order."""
    return [photo.reference, photo.path] if photo.reference else [photo.path]


def _fault(path: Path, builder: PromptBuilder) -> str:
    """What keeps an image from being inspected; "" when nothing does."""
    try:
        builder.num_image_tokens(path, decoded_size(path))
    except ValueError as error:
        return str(error)
    return ""
