"""Says, once a case, when the rewards of a run stop telling answers apart or stop meaning what is wanted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, nan, sqrt
from statistics import fmean, variance

from rl.metrics import HELD_OUT
from rl.roles import Metrics

Range = tuple[float, float]

SILENT_STEPS = 10
"""So many steps without any contrast are no bad luck while the policy still varies."""
WINDOW = 20
"""Steps over which a component is looked at: thousands of completions of a usual batch, so single ones do not count."""
NEAR_TOP = 0.002
"""Share of its range that a component's mean may be below the top: with 1 in 500 lacking, 63 of 64 groups of eight
have no contrast in it."""
LITTLE_SPREAD = 0.01
"""Share of its range: where completions differ by less, a division by that difference makes advantages of noise."""
SAME = 1e-6
"""Share of their size by which equal values may differ; floating point is finer."""
EDGE = 10
"""Most steps on each side whose mean tells whether a reward rose between two evaluations."""
LEAST_STEPS = 3
"""Fewer steps on a side do not show their scatter."""
SURE_RISE = 3.0
"""Standard errors that a rise must exceed; chance has as many tries as there are components and evaluations."""
LEAST_RISE = 0.01
"""And share of its size: a smaller rise may be real and does not matter."""
SURE_FALL = 2.0
"""Standard errors that a fall of accuracy must exceed. They are those of two independent sets of samples; both
evaluations have the same ones and most answers stay, so that the true error is smaller."""
LEAST_FALL = 0.02
"""And what anybody would call a fall."""


@dataclass(frozen=True, kw_only=True)
class Standing:
    """An evaluation of the held-out samples."""

    step: int
    accuracy: float
    num_samples: float
    num_rows: int
    """Training steps recorded before it."""


class Watch:
    """Looks at each row of metrics.jsonl as it is recorded; the same rows give the same warnings."""

    def __init__(self, ranges: Mapping[str, Range | None]) -> None:
        """`ranges` has the lowest and highest value of each component that counts; None where it is not known."""
        self._ranges = ranges
        self._rows: list[Metrics] = []
        """Those of training steps."""
        self._standings: list[Standing] = []
        self._told: dict[str, str] = {}
        """Sentence by case."""

    @property
    def warnings(self) -> list[str]:
        """All so far, the oldest first."""
        return list(dict.fromkeys(self._told.values()))

    def see(self, row: Metrics) -> list[str]:
        """What this row gives new reason to warn of."""
        known = len(self.warnings)
        if "reward/zero_std_groups" in row:
            self._rows.append(row)
            self._tell("silent", silence(self._rows[-SILENT_STEPS:]))
            for name, ends in self._ranges.items():
                self._tell(f"constant {name}", constant(name, ends, self._rows[-WINDOW:]))
                self._tell(f"saturated {name}", saturated(name, ends, self._rows[-WINDOW:]))
        if f"{HELD_OUT}/accuracy" in row:
            self._compare(row)
        return self.warnings[known:]

    def _tell(self, case: str, sentence: str) -> None:
        if sentence:
            self._told.setdefault(case, sentence)

    def _compare(self, row: Metrics) -> None:
        """Sets the evaluation against the best one before it."""
        now = Standing(
            step=int(row["step"]),
            accuracy=row[f"{HELD_OUT}/accuracy"],
            num_samples=row[f"{HELD_OUT}/samples"],
            num_rows=len(self._rows),
        )
        if self._standings:
            best = max(self._standings, key=lambda standing: standing.accuracy)
            metrics = {"reward": "reward/mean"} | {name: f"reward/{name}/mean" for name in self._ranges}
            untold = {name: metric for name, metric in metrics.items() if f"opposite {name}" not in self._told}
            for name, sentence in opposite(best, now, untold, self._rows).items():
                self._tell(f"opposite {name}", sentence)
        self._standings.append(now)


def silence(rows: Sequence[Metrics]) -> str:
    """A warning when no group of the rows had any contrast; "" when there is nothing to say."""
    shares = [row.get("contrastive/left", row["reward/zero_std_groups"]) for row in rows]
    if len(rows) < SILENT_STEPS or min(shares) < 1:
        return ""
    return f"no group had two different rewards in {_steps(rows)}: the model learns nothing any more"


def constant(name: str, ends: Range | None, rows: Sequence[Metrics]) -> str:
    """A warning when a component gave every completion the same, unless that is the most it can give."""
    means, spreads = values(rows, f"reward/{name}/mean"), values(rows, f"reward/{name}/std")
    if min(len(means), len(spreads)) < WINDOW:
        return ""
    least = SAME * max(map(abs, means))
    if max(spreads) > least or max(means) - min(means) > least or (ends and at_top(fmean(means), ends)):
        return ""
    return (
        f"reward {name} was {means[-1]:.3g} for every completion in {_steps(rows)}: it tells no answers apart; "
        "see whether it gets what it needs, or leave it out"
    )


def saturated(name: str, ends: Range | None, rows: Sequence[Metrics]) -> str:
    """A warning when there is nothing more to be had from a component; a penalty that is never due is no such case."""
    means, spreads = values(rows, f"reward/{name}/mean"), values(rows, f"reward/{name}/std")
    if ends is None or min(len(means), len(spreads)) < WINDOW:
        return ""
    (low, high), mean, spread = ends, fmean(means), max(spreads)
    if at_top(mean, ends):
        told = f"reward {name} has saturated: {mean:.3f} of at most {high:g} in {_steps(rows)}"
        return f"{told}, so that it hardly tells answers apart any more" if high > 0 else ""
    if LITTLE_SPREAD * (high - low) > spread > SAME * abs(mean):
        told = (
            f"reward {name} has saturated at {mean:.3f}: completions differ by {spread:.2g} at most in {_steps(rows)}"
        )
        return f"{told}, and what is learned from that is noise"
    return ""


def opposite(best: Standing, now: Standing, metrics: Mapping[str, str], rows: Sequence[Metrics]) -> dict[str, str]:
    """One warning for all rewards that rose while held-out accuracy fell, by their names; {} when there are none."""
    if not fell(best, now):
        return {}
    earlier, later = sides(best.num_rows, now.num_rows, rows)
    pairs = {name: (values(earlier, metric), values(later, metric)) for name, metric in metrics.items()}
    risen = {
        name: f"{'' if name == 'reward' else 'reward '}{name} rose from {fmean(a):.3g} to {fmean(b):.3g}"
        for name, (a, b) in pairs.items()
        if rose(a, b)
    }
    sentence = (
        f"held-out accuracy fell from {best.accuracy:.3f} after {best.step} steps to {now.accuracy:.3f} after "
        f"{now.step}, while {', '.join(risen.values())}: the model learns what earns, not what is right; compare "
        "answers in samples/"
    )
    return dict.fromkeys(risen, sentence)


def fell(best: Standing, now: Standing) -> bool:
    """Whether accuracy fell by more than samples of this number can by chance."""
    error = sqrt(sum(one.accuracy * (1 - one.accuracy) / one.num_samples for one in (best, now)))
    return best.accuracy - now.accuracy > max(LEAST_FALL, SURE_FALL * error)


def rose(earlier: Sequence[float], later: Sequence[float]) -> bool:
    """Whether the steps' means rose by more than they scatter."""
    if min(len(earlier), len(later)) < LEAST_STEPS:
        return False
    error = sqrt(sum(variance(side) / len(side) for side in (earlier, later)))
    size = max(abs(fmean(earlier)), abs(fmean(later)))
    return fmean(later) - fmean(earlier) > max(SURE_RISE * error, LEAST_RISE * size)


def sides(start: int, end: int, rows: Sequence[Metrics]) -> tuple[Sequence[Metrics], Sequence[Metrics]]:
    """The training steps just before each of two evaluations; where there are none before the first, those after it."""
    if start >= LEAST_STEPS:
        return rows[max(0, start - EDGE) : start], rows[max(start, end - EDGE) : end]
    count = min(EDGE, end // 2)
    return rows[:count], rows[end - count : end]


def at_top(mean: float, ends: Range) -> bool:
    low, high = ends
    return mean >= high - NEAR_TOP * (high - low)


def values(rows: Sequence[Metrics], name: str) -> list[float]:
    """The metric's values in the rows that have it."""
    return [row[name] for row in rows if isfinite(row.get(name, nan))]


def _steps(rows: Sequence[Metrics]) -> str:
    return f"steps {rows[0]['step']:.0f} to {rows[-1]['step']:.0f}"
