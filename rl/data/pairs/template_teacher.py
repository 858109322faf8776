"""A teacher without a model: trajectories from templates, equally rigorous under right and wrong knowledge."""

import random
import re

from rl.data.knowledge.entries import GOOD, Entry
from rl.data.knowledge.leaks import leaks
from rl.data.questions import concluding, kind_text
from rl.faults import UserError
from rl.types import Sample, Target

CUE_CHARACTERS = 120
"""Longest quotation of an entry's text, in characters."""
SENTENCE = re.compile(r"[^.!?:;]{12,}")
UNSAID = "what it describes."
"""Replaces a quotation if all of the entry's sentences would count as leaks."""
SEEN = ("What is seen", "The part", "The image", "The surface", "Each region")
FITS = ("agrees with {name}.", "fits {name}.", "shows {name}.", "speaks for {name}.", "is a case of {name}.")
DENYING = frozenset(("no", "not", "none", "normal", "good", "intact", "without", "free"))
AFFIRMING = frozenset(("yes", "defect", "defective", "abnormal", "anomaly"))


def template_trajectory(entry: Entry, sample: Sample, *, right: bool, seed: int, thinks: bool = False) -> str:
    """Return a response that chooses the entry, reasons under it and ends with the right or a wrong option.

    Right and wrong responses share their words, which depend on the seed and the sample's id alone; the entry fills
    them. A wrong response ends with the option that its entry speaks for. With `thinks` the reasoning stands in its
    own tags before a bare letter, otherwise in the answer, as in the paper.
    """
    target = sample.target
    if target.option not in target.options or len(target.options) < 2:
        raise UserError(f"sample {sample.id}: a trajectory needs two or more options, the right one known")
    rng = random.Random(f"trajectory/{seed}/{sample.id}")
    seen, fits = rng.choice(SEEN), rng.choice(FITS)
    letter = target.option if right else wrong_option(entry, target, rng)
    knowledge = f"{entry.name}: {_cue(entry.text)}"
    reasoning = concluding(f"{seen} {fits.format(name=entry.name)}", letter)
    if thinks:
        return f"<knowledge>{knowledge}</knowledge><think>{reasoning}</think><answer>{letter}</answer>"
    return f"<knowledge>{knowledge}</knowledge><answer>{reasoning}</answer>"


def wrong_option(entry: Entry, target: Target, rng: random.Random) -> str:
    """Return the letter of the wrong option that the entry speaks for most; ties are drawn by chance."""
    wrong = sorted(target.options.keys() - {target.option})
    speaks = {letter: _shared(entry, target.options[letter]) for letter in wrong}
    return rng.choice([letter for letter in wrong if speaks[letter] == max(speaks.values())])


def _shared(entry: Entry, option: str) -> int:
    """Return how strongly the entry speaks for an option, in shared words.

    An entry of normal parts speaks for options with denying words; an entry of a defect never does (-1), as "No defect"
    contains a defect's word too.
    """
    said = _words(option)
    if entry.defect == GOOD:
        return len(said & DENYING)
    if said & DENYING:
        return -1
    return len(said & (AFFIRMING | _words(f"{entry.name} {kind_text(entry.defect)}")))


def _words(text: str) -> set[str]:
    return {word.rstrip("s") for word in re.findall(r"[^\W_]+", text.casefold())}


def _cue(text: str) -> str:
    """Return the first sentence of an entry's text that does not count as a leak, cut at a word."""
    for match in SENTENCE.finditer(text):
        said = " ".join(match[0].split())
        cut = said[: said.rfind(" ", 0, CUE_CHARACTERS)] + "…" if len(said) > CUE_CHARACTERS else f"{said}."
        if not leaks(said):
            return cut
    return UNSAID
