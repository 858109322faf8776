"""The predictions of a run: their lines and pictures are written as they come."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import prod
from pathlib import Path

from PIL import Image

from launch.predict.page import MAPPED, OUTLINED, PLAIN
from launch.predict.predictions import Prediction, line, scaled_boxes, words_between
from launch.predict.truth import Truth, image_metrics
from rewards.answers.parse import parse_answer, read_tagged
from rewards.rival import p_yes
from rl.data.images import Size, open_image
from rl.data.photos import PREDICTIONS, Photo
from rl.data.prompts import PromptBuilder
from rl.evaluation.heat import overlay, resized
from rl.evaluation.localization import mean_look, times_even, true_mask
from rl.evaluation.look_pictures import TRUE, outline
from rl.evaluation.pixels import PixelTally
from rl.faults import of_file
from rl.types import DEFECTIVE, Group

MAPS = "maps"
DRAWERS = 4
"""Pictures drawn at the same time; a large one takes some hundred megabytes for a moment."""
LONGEST_MAP, LONGEST_SHOWN = 2048, 640
"""Longest sides in pixels of the pictures with maps, and of those that the page shows."""
JPEG_QUALITY = 88
OUTLINE_SHARE = 0.01
"""Width of the outline of true defects as a share of the picture's longest side; at least a pixel."""
FASTEST = 1
"""Level of PNG's compression: higher ones take many times longer to save a tenth."""


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """The style of the maps."""

    heat_top: float
    """End of the scale, in multiples of an even look."""
    resize: str
    """Method by which maps are enlarged."""


class Album:
    """The predictions of a run, in its folder."""

    def __init__(
        self, folder: Path, drawing: Drawing, builder: PromptBuilder, photos: Sequence[Photo], truth: Truth
    ) -> None:
        self._folder = folder
        self._drawing = drawing
        self._builder = builder
        self._photos = {photo.id: photo for photo in photos}
        self._truth = truth
        self._with_masks = any(photo.mask for photo in photos)
        self._tally = PixelTally()
        self.predictions: list[Prediction] = []

    def add_damaged(self, damaged: Sequence[tuple[Photo, str]]) -> None:
        """Add photos that do not open, each with the sentence that says why."""
        self._write([Prediction(id=photo.id, image=str(photo.path), error=sentence) for photo, sentence in damaged])

    def add(self, groups: Sequence[Group]) -> None:
        """Add groups whose answers were sampled greedily and whose looks were measured."""
        with ThreadPoolExecutor(DRAWERS) as pool:
            sizes = list(pool.map(self._draw, groups))
        found = [self._prediction(group, size) for group, size in zip(groups, sizes, strict=True)]
        if self._with_masks:
            for group in groups:
                self._count(group)
        self._write(found)

    def counts(self) -> dict[str, int]:
        """Count the images of each kind: defective, normal, unreadable, error."""
        return dict(Counter(prediction.kind for prediction in self.predictions))

    def metrics(self) -> Mapping[str, float]:
        """Measure how well answers agree with the truth, and maps with the masks; return {} where nothing is known."""
        return image_metrics(self.predictions) | self._tally.metrics()

    def _write(self, predictions: Sequence[Prediction]) -> None:
        path = self._folder / PREDICTIONS
        with of_file(path), path.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(line(prediction)) + "\n" for prediction in predictions)
        self.predictions += predictions

    def _prediction(self, group: Group, size: Size) -> Prediction:
        prompt, look, task = group.prompt, group.looks[0], group.prompt.sample.task
        pieces = self._builder.pieces(group.completions[0].token_ids)
        text = "".join(pieces)
        said, spans = parse_answer(text, task, prompt.image_size), read_tagged(text, task, [])
        think, answer = spans["think"], spans["answer"]
        start, end = (think.start, think.start + len(think.text)) if said.think else (0, len(text))
        return Prediction(
            id=prompt.sample.id,
            image=str(prompt.sample.images[-1]),
            size=size,
            verdict=said.verdict,
            p_yes=_p_yes(group, said.verdict),
            boxes=scaled_boxes(said.boxes, prompt.image_size, size),
            box_labels=said.labels,
            reasoning=words_between(pieces, look.weights, start, end),
            answer=words_between(pieces, look.weights, answer.start, answer.start + len(answer.text)),
            agreement=look.agreement,
            num_places=prod(look.shape),
            map=f"{MAPS}/{prompt.sample.id}.png",
            truth=self._truth.labels.get(prompt.sample.id),
            outline=f"{OUTLINED}/{prompt.sample.id}.png" if self._marked(prompt.sample.id) else None,
        )

    def _marked(self, photo_id: str) -> Path | None:
        """Return the mask of a photo if it marks a defect."""
        return self._photos[photo_id].mask if self._truth.labels.get(photo_id) == DEFECTIVE else None

    def _draw(self, group: Group) -> Size:
        """Write the pictures of an image; return the size of the file."""
        sample, look = group.prompt.sample, group.looks[0]
        image = open_image(sample.images[-1])
        size = image.size
        self._save_small(image, PLAIN, sample.id)
        image.thumbnail((LONGEST_MAP, LONGEST_MAP))
        heat = resized(times_even(mean_look(look)), image.size, self._drawing.resize)
        mapped = overlay(image, heat, self._drawing.heat_top)
        mapped.save(_made(self._folder / MAPS / f"{sample.id}.png"), compress_level=FASTEST)
        shown = self._save_small(mapped, MAPPED, sample.id)
        mask = self._marked(sample.id)
        if mask:
            self._save_outline(mask, shown, sample.id)
        return size

    def _save_small(self, image: Image.Image, folder: str, name: str) -> Size:
        """Save a small JPEG and return its size; browsers show neither all formats nor the file's own pixels."""
        small = image.copy()
        small.thumbnail((LONGEST_SHOWN, LONGEST_SHOWN))
        small.save(_made(self._folder / folder / f"{name}.jpg"), quality=JPEG_QUALITY)
        return small.size

    def _save_outline(self, mask: Path, size: Size, name: str) -> None:
        """Save the outline of the true defects, transparent elsewhere, to lie over a small picture."""
        drawn = Image.new("RGBA", size)
        drawn.paste((*TRUE, 255), mask=outline(mask, size, max(1, round(OUTLINE_SHARE * max(size)))))
        drawn.save(_made(self._folder / OUTLINED / f"{name}.png"))

    def _count(self, group: Group) -> None:
        """Count the pixels of an image; one without a mask has no defect."""
        file, heat = self._photos[group.prompt.sample.id].mask, mean_look(group.looks[0])
        mask = true_mask(file, group.prompt.sample)
        height, width = mask.shape
        self._tally.add(resized(heat, (width, height), self._drawing.resize), mask)


def _p_yes(group: Group, verdict: str | None) -> float | None:
    """Return p(defective) from the log-probs of the verdict's first token, in the answer and in its rival."""
    if verdict is None or len(group.completions) == 1:
        return None
    given, rival = group.old_logprobs
    return p_yes(verdict, given[len(rival) - 1], rival[-1])


def _made(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
