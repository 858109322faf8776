"""The question of each task and, for a choice, the options with the right one among them."""

import random
from collections.abc import Iterable, Mapping
from string import ascii_uppercase

from rl.faults import UserError
from rl.types import Task

WHICH_KIND = "What kind of defect is there in the second image?"
QUESTIONS = {
    # CGRO asks this of every image.
    Task.yes_no: "Are there any defects or anomalies in the image?",
    Task.boxes: "Are there any defects in the second image?",
    Task.choice: WHICH_KIND,
    Task.routed: WHICH_KIND,
    Task.grid: "What kind of defect is there in the second image, and in which cells of the 16x16 grid?",
    Task.grounding: "Where is the defect in the second image?",
}
NO_DEFECT = "No defect"
"""Right option of a normal image."""
WITH_OPTIONS = (Task.choice, Task.routed, Task.grid)
"""Tasks whose answer is the letter of an option."""


def options_of(kinds: Iterable[str], sample_id: str) -> dict[str, str]:
    """Return the kinds of defects and "No defect" by letter, in an order that the sample's id alone decides.

    >>> options_of(["scratch", "hole"], "metal/test/hole/003")
    {'A': 'hole', 'B': 'scratch', 'C': 'No defect'}
    """
    texts = [*sorted(kind_text(kind) for kind in kinds), NO_DEFECT]
    if len(texts) > len(ascii_uppercase):
        raise UserError(
            f"sample {sample_id}: its category has {len(texts) - 1} kinds of defects, more than there are letters for; "
            "merge some of them"
        )
    random.Random(f"options/{sample_id}").shuffle(texts)
    return dict(zip(ascii_uppercase, texts, strict=False))


def kind_text(kind: str) -> str:
    """Return the name of a kind of defect as words, e.g. "broken large" for broken_large."""
    return kind.replace("_", " ")


def letter_of(options: Mapping[str, str], text: str) -> str:
    """Return the letter of the option with this text."""
    return next(letter for letter, offered in options.items() if offered == text)


def with_options(question: str, options: Mapping[str, str]) -> str:
    """Return the question with a line for each option.

    >>> with_options("Which?", {"A": "hole", "B": "No defect"})
    'Which?\\nA: hole\\nB: No defect'
    """
    return "\n".join([question, *(f"{letter}: {text}" for letter, text in options.items())])


def concluding(reasoning: str, letter: str) -> str:
    """Return the reasoning with the option that it leads to."""
    return f"{reasoning} The answer is {letter}."
