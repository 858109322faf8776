"""The prediction for an image, and its line of predictions.jsonl."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from rl.data.images import Size
from rl.evaluation.verdicts import UNREADABLE
from rl.types import DEFECTIVE, NORMAL, Box

Word = tuple[str, float]
"""A piece of text, and the weight of its token in the map; 0 for a token that is not selected."""


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """The prediction for one image."""

    id: str
    image: str
    """Path of the file."""
    size: Size = (0, 0)
    """Width and height of the file."""
    verdict: str | None = None
    """ "normal" or "defective"; None if the answer says neither."""
    p_yes: float | None = None
    """Probability of the verdict "defective" against the other one; None if one of them has no token."""
    boxes: tuple[Box, ...] = ()
    """Boxes in pixels of the file."""
    box_labels: tuple[str, ...] = ()
    reasoning: tuple[Word, ...] = ()
    """The reasoning, piece by piece; the whole completion if it holds none."""
    answer: tuple[Word, ...] = ()
    """The text between the answer tags; () if there are none."""
    agreement: float | None = None
    """J of the tokens that weigh most."""
    num_places: int = 0
    """Places of the image among which tokens look."""
    map: str | None = None
    """Picture of where the model looked, relative to the run folder; None if there is no prediction."""
    truth: str | None = None
    """ "normal" or "defective"; None where it is not known."""
    outline: str | None = None
    """Picture of the true defects' outline, relative to the run folder; None without a mask that marks any."""
    error: str | None = None
    """Why there is no prediction, in one sentence."""

    @property
    def kind(self) -> str:
        """The kind under which the page counts the image."""
        return "error" if self.error else self.verdict or UNREADABLE

    @property
    def score(self) -> float:
        """The likelihood of a defect: `p_yes`, or else 1 or 0 by the verdict, 0.5 without one."""
        of_verdict = {DEFECTIVE: 1.0, NORMAL: 0.0}.get(self.verdict or "", 0.5)
        return of_verdict if self.p_yes is None else self.p_yes

    @property
    def is_wrong(self) -> bool:
        """True if the truth is known and the answer is not it."""
        return self.truth is not None and self.verdict != self.truth


def line(prediction: Prediction) -> dict[str, Any]:
    """Return the object in predictions.jsonl; `marks` are [start, end, weight] in characters of the reasoning."""
    return {
        "id": prediction.id,
        "image": prediction.image,
        "verdict": prediction.verdict,
        "p_yes": prediction.p_yes,
        "truth": prediction.truth,
        "boxes": prediction.boxes,
        "box_labels": prediction.box_labels,
        "reasoning": "".join(text for text, _ in prediction.reasoning),
        "marks": list(_marks(prediction.reasoning)),
        "agreement": prediction.agreement,
        "map": prediction.map,
        "error": prediction.error,
    }


def words_between(pieces: Sequence[str], weights: Sequence[float], start: int, end: int) -> tuple[Word, ...]:
    """Cut the pieces of a text, each with its token's weight, to the characters from start to end.

    >>> words_between(["<think>", "A", " hole", "."], [1.0, 0.0, 0.5, 0.0], 7, 12)
    (('A', 0.0), (' hol', 0.5))
    """
    ends = list(accumulate(map(len, pieces)))
    cut = [
        (piece[max(0, start - (last - len(piece))) : max(0, end - (last - len(piece)))], weight)
        for piece, last, weight in zip(pieces, ends, weights, strict=True)
    ]
    return tuple((text, weight) for text, weight in cut if text)


def scaled_boxes(boxes: Sequence[Box], seen: Size, size: Size) -> tuple[Box, ...]:
    """Convert boxes from pixels of the image as the model saw it to pixels of its file, to a tenth.

    >>> scaled_boxes([(0, 7, 14, 28)], (28, 28), (56, 112))
    ((0.0, 28.0, 28.0, 112.0),)
    """
    x, y = size[0] / seen[0], size[1] / seen[1]
    return tuple((round(x1 * x, 1), round(y1 * y, 1), round(x2 * x, 1), round(y2 * y, 1)) for x1, y1, x2, y2 in boxes)


def _marks(words: Sequence[Word]) -> Iterator[tuple[int, int, float]]:
    start = 0
    for text, weight in words:
        if weight > 0:
            yield start, start + len(text), round(weight, 4)
        start += len(text)
