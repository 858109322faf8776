"""The sentence that warns of held-out figures of different samples."""

from collections.abc import Sequence

from launch.compare.runs import ComparedRun, differences

DRAWN_BY = ("seed", "data.root", "data.heldout_share", "data.num_heldout")
"""Keys of a config that decide which samples are held out and asked about."""
MOST_NAMED = 3
"""Most runs that the sentence names."""


def heldout_warning(runs: Sequence[ComparedRun]) -> str:
    """Say that held-out figures are of different samples, by the answers that the runs kept; "" if they are not.

    If a run kept no answers, or the ids agree but data.root differs, say by the config that the samples may differ.
    """
    evaluated = [run for run in runs if run.is_evaluated]
    known = [run for run in evaluated if run.heldout]
    apart = [run for run in known[1:] if run.heldout != known[0].heldout]
    if apart:
        names = _listed([run.name for run in apart]) if len(apart) <= MOST_NAMED else f"{len(apart)} other runs"
        keys = _drawn_by([known[0], *apart])
        why = f" ({_differ(keys)})" if keys else ""
        return (
            f"held-out samples of {names} differ from those of {known[0].name}{why}: their held-out figures are of "
            "different images"
        )
    keys = _drawn_by(evaluated)
    if len(known) == len(evaluated):
        keys = [key for key in keys if key == "data.root"]
    if not keys:
        return ""
    return f"held-out samples may differ between the runs, because {_differ(keys)}: compare held-out figures with care"


def _drawn_by(runs: Sequence[ComparedRun]) -> list[str]:
    differing = differences(runs)
    return [key for key in DRAWN_BY if key in differing]


def _differ(keys: Sequence[str]) -> str:
    return f"{_listed(keys)} {'differs' if len(keys) == 1 else 'differ'}"


def _listed(names: Sequence[str]) -> str:
    """Return the names in a sentence.

    >>> _listed(["a", "b", "c"]), _listed(["a"])
    ('a, b and c', 'a')
    """
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last
