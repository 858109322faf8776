"""Counts of samples by label and category, in words, and warnings about what the samples cannot teach or measure."""

from collections.abc import Sequence

from rl.types import DEFECTIVE, NORMAL, Sample, Task

OTHER = {DEFECTIVE: NORMAL, NORMAL: DEFECTIVE}
"""The labels, each with the other one."""
MOST_CATEGORIES = 6
"""Categories up to which each has its own count."""
MOST_NAMES = 5
"""Categories that a warning names."""


def counted(samples: Sequence[Sample]) -> str:
    """Return the number of samples, by label and, if there are few, by category.

    >>> from rl.types import Target
    >>> target, parts = Target(label="normal"), {"images": (), "question": "Fine?"}
    >>> counted([Sample(id=name, category=name, target=target, **parts) for name in ("cup", "tin")])
    '2 samples, 0 defective, 2 normal (defective: cup 0 of 1, tin 0 of 1)'
    """
    total = ", ".join([f"{len(samples)} samples", *(f"{_count(samples, label)} {label}" for label in OTHER)])
    names = categories(samples)
    if not 1 < len(names) <= MOST_CATEGORIES:
        return total
    by_category = {name: [sample for sample in samples if sample.category == name] for name in names}
    shares = (f"{name} {_count(inside, DEFECTIVE)} of {len(inside)}" for name, inside in by_category.items())
    return f"{total} (defective: {', '.join(shares)})"


def categories(samples: Sequence[Sample]) -> list[str]:
    """Return the names of the samples' categories in alphabetical order."""
    return sorted({sample.category for sample in samples})


def warnings_of(training: Sequence[Sample], heldout: Sequence[Sample]) -> list[str]:
    """Return a sentence for each thing that these samples cannot teach or measure; categories share a sentence."""
    found = _unmeasured(training, heldout)
    # Samples of grounding are all defective.
    if training[0].task is Task.grounding:
        return found
    return [*_of_one_label(training, heldout), *_without_a_label([*training, *heldout]), *found]


def _of_one_label(training: Sequence[Sample], heldout: Sequence[Sample]) -> list[str]:
    """Warn of a side, or of both, whose samples all have the same label."""
    everything = [*training, *heldout]
    sides = {"": everything} if _only_label(everything) else {"training ": training, "held-out ": heldout}
    return [
        f"all {len(samples)} {side}samples are {label}: a model that always says so is never wrong; add samples that "
        f"are {OTHER[label]}"
        for side, samples in sides.items()
        if (label := _only_label(samples))
    ]


def _without_a_label(samples: Sequence[Sample]) -> list[str]:
    """Warn of categories without a defective or without a normal sample, unless no category has any."""
    having = {label: {sample.category for sample in samples if sample.target.label == label} for label in OTHER}
    lacking = {label: [name for name in categories(samples) if name not in having[label]] for label in OTHER}
    return [
        f"no sample is {label} in {_named(names)}: a model that always says {OTHER[label]} there is never wrong; add "
        "some, or leave the category out"
        for label, names in lacking.items()
        if names and having[label]
    ]


def _unmeasured(training: Sequence[Sample], heldout: Sequence[Sample]) -> list[str]:
    """Warn of categories that are learned and of which no sample is held out."""
    measured = set(categories(heldout))
    names = [name for name in categories(training) if name not in measured]
    if not names:
        return []
    return [
        f"no sample is held out of {_named(names)}: nothing measures what is learned of it; raise data.heldout_share, "
        "or add samples"
    ]


def _only_label(samples: Sequence[Sample]) -> str:
    """Return the label that all samples have; "" if they differ."""
    labels = {sample.target.label for sample in samples}
    return labels.pop() if len(labels) == 1 else ""


def _count(samples: Sequence[Sample], label: str) -> int:
    return sum(sample.target.label == label for sample in samples)


def _named(names: Sequence[str]) -> str:
    """Name categories, the first ones if there are many.

    >>> _named(["cup"]), _named(list("abcdefg"))
    ('category cup', 'categories a, b, c, d, e and 2 more')
    """
    more = len(names) - MOST_NAMES
    listed = ", ".join(names[:MOST_NAMES]) + (f" and {more} more" if more > 0 else "")
    return f"categor{'y' if len(names) == 1 else 'ies'} {listed}"
