"""Simulated annotators, from whose answers the starters learn; they may make mistakes as people at a conveyor do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from rl.data.demo.synthesis import CONTRASTS, DEFECTS, SIZE, Part, even_places, make_part, place, rationale
from rl.data.grid import cells_of_mask
from rl.data.knowledge.entries import GOOD, Entry
from rl.data.pairs.template_teacher import template_trajectory
from rl.data.prompts import answer_text
from rl.data.questions import NO_DEFECT, concluding, letter_of
from rl.types import DEFECTIVE, NORMAL, Box, Sample, Target, Task

EDGE_STEP = 4
"""Annotators draw boxes on a grid of this many pixels, so that there are few coordinates to learn."""
FINDINGS = (
    "A {defect} at the {place}.",
    "There is a {defect} at the {place}.",
    "At the {place} there is a {defect}.",
    "A defect at the {place}: a {defect}.",
    "The {place} has a {defect}.",
    "Look at the {place}: a {defect} there.",
)
NO_FINDINGS = (
    "No difference.",
    "There is no defect.",
    "No defect at all.",
    "It is even at the top and at the bottom.",
    "Nothing in the image is a defect.",
    "Look at it: there is no defect.",
)
REST_FIRST = 0.5
"""Share of the reports on a single image that begin with places where all is well."""
NUM_EVEN = 3
"""Places in a report where all is well."""


def report(rng: np.random.Generator, part: Part) -> str:
    """Return what an annotator writes about a single image, in varied words: the finding, and where all is well."""
    if part.box is None:
        finding = str(rng.choice(NO_FINDINGS))
    else:
        finding = str(rng.choice(FINDINGS)).format(defect=part.defect, place=place(part.box))
    rest = f"Even at the {', '.join(rng.choice(even_places(part), NUM_EVEN, replace=False))}."
    # The order decides which tokens are near the question, and so which attention counts (docs/attention.md).
    return f"{rest} {finding}" if rng.random() < REST_FIRST else f"{finding} {rest}"


@dataclass(frozen=True, kw_only=True)
class Annotators:
    """Annotators with their rates of mistakes; the defaults make none."""

    faintest_found: float = 1.0
    """Share of the faintest defects that are reported; it grows linearly with the contrast up to the strongest."""
    strongest_found: float = 1.0
    """Share of the strongest defects that are reported."""
    false_alarms: float = 0.0
    """Share of the normal parts on which a defect is reported."""
    looseness: float = 0.0
    """Standard deviation of the edges of boxes, and of the position of cells, in pixels."""
    lapses: float = 0.0
    """Share of the reports that lack the box or, for a choice, the conclusion of the reasoning."""
    slips: float = 0.0
    """Share of the choices that contradict their reasoning."""
    haste: float = 0.0
    """Share of the choices that name the option before the reasoning."""

    def answer(self, rng: np.random.Generator, part: Part, task: Task = Task.boxes) -> str:
        """Return an answer about a part to a question for boxes, or for yes or no."""
        seen = self._seen(rng, part)
        target = self._target(rng, seen)
        if task is Task.yes_no:
            return answer_text(replace(target, rationale=report(rng, seen)), task)
        text = answer_text(target, task)
        if seen.defect and rng.random() < self.lapses:
            return text.partition(" {")[0] + "</answer>"
        return text

    def choose(self, rng: np.random.Generator, part: Part, options: Mapping[str, str], task: Task) -> str:
        """Return an answer about a part to a choice, with cells if the task is on the grid."""
        seen = self._seen(rng, part)
        right = letter_of(options, seen.defect or NO_DEFECT)
        others = [letter for letter in options if letter != right]
        target = Target(
            label=DEFECTIVE if seen.defect else NORMAL,
            rationale=self._reasoning(rng, rationale(seen), right),
            option=str(rng.choice(others)) if rng.random() < self.slips else right,
            cells=cells_of_mask(self._moved(rng, seen.mask)),
        )
        return answer_text(target, task)

    def route(self, rng: np.random.Generator, part: Part, sample: Sample, entries: Sequence[Entry]) -> str:
        """Return an answer that first chooses a piece of knowledge; a slip chooses any of the entries."""
        seen = self._seen(rng, part)
        entry = next(each for each in entries if each.defect == (seen.defect or GOOD))
        if rng.random() < self.slips:
            entry = entries[int(rng.integers(len(entries)))]
        options = sample.target.options
        option = letter_of(options, NO_DEFECT if entry.defect == GOOD else entry.defect)
        believed = replace(sample, target=replace(sample.target, option=option))
        return template_trajectory(entry, believed, right=True, seed=int(rng.integers(2**31)), thinks=True)

    def _reasoning(self, rng: np.random.Generator, look: str, letter: str) -> str:
        manner = rng.random()
        if manner < self.lapses:
            return look
        if manner < self.lapses + self.haste:
            return f"{concluding('', letter).strip()} {look}"
        return concluding(look, letter)

    def _seen(self, rng: np.random.Generator, part: Part) -> Part:
        """Return the part as it is perceived: a defect may be missed or imagined."""
        if part.defect:
            found = np.interp(part.contrast, CONTRASTS, (self.faintest_found, self.strongest_found))
            if rng.random() < found:
                return part
            return replace(part, defect=None, mask=np.zeros_like(part.mask))
        if rng.random() < self.false_alarms:
            return make_part(rng, part.material, str(rng.choice(DEFECTS)), CONTRASTS)
        return part

    def _target(self, rng: np.random.Generator, seen: Part) -> Target:
        if seen.box is None or seen.defect is None:
            return Target(label=NORMAL, rationale=rationale(seen))
        box = self._drawn(rng, seen.box)
        return Target(label=DEFECTIVE, boxes=(box,), box_labels=(seen.defect,), rationale=rationale(seen))

    def _drawn(self, rng: np.random.Generator, box: Box) -> Box:
        """Return the box as it is drawn: on a grid of EDGE_STEP, within the image, at least a step wide and high."""
        edges = (np.array(box) + self.looseness * rng.standard_normal(4)).clip(0, [SIZE - EDGE_STEP] * 2 + [SIZE] * 2)
        x1, y1, x2, y2 = (EDGE_STEP * np.rint(edges / EDGE_STEP)).tolist()
        return x1, y1, max(x2, x1 + EDGE_STEP), max(y2, y1 + EDGE_STEP)

    def _moved(self, rng: np.random.Generator, mask: np.ndarray) -> np.ndarray:
        """Return the mask, shifted at random; what leaves the image is lost."""
        down, right = np.rint(self.looseness * rng.standard_normal(2)).astype(int)
        rows, columns = np.nonzero(mask)
        inside = (0 <= rows + down) & (rows + down < SIZE) & (0 <= columns + right) & (columns + right < SIZE)
        moved = np.zeros_like(mask)
        moved[rows[inside] + down, columns[inside] + right] = True
        return moved
