"""Warnings about a run, once per case.

Some are known before it: what its data or model cannot do. Others follow from its metrics: answers out of form,
rewards that stop telling answers apart or that rise while held-out accuracy falls, and a policy that is broken at once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, nan, sqrt
from statistics import fmean, variance

from rl.metrics import HELD_OUT
from rl.roles import Metrics

Range = tuple[float, float]

SILENT_STEPS = 10
"""Steps in a row without any contrast that are worth a warning; fewer may be bad luck."""
FORM_STEPS = 10
"""First steps in which the form of the answers is judged."""
LEAST_FORM = 0.2
"""Share of well-formed answers that a step should reach; below it, rewards find next to nothing to judge."""
MUCH_CLIPPED = 0.5
"""Share of answers cut off from which that is taken for the cause of a broken form."""
WINDOW = 20
"""Steps over which a component is judged. They hold thousands of completions, so single ones do not matter."""
NEAR_TOP = 0.002
"""Share of its range by which a saturated component's mean may miss the top: if 1 completion in 500 misses the reward,
63 of 64 groups of eight have no contrast in this component."""
LITTLE_SPREAD = 0.01
"""Standard deviation, as a share of the component's range, below which its advantages are noise that was scaled up."""
SAME = 1e-6
"""Relative difference up to which two values count as equal; far above rounding errors."""
EDGE = 10
"""Maximum training steps at each of two evaluations that are compared to see if a reward rose between them."""
LEAST_STEPS = 3
"""Minimum training steps at each evaluation; fewer do not show how much a reward scatters."""
SURE_RISE = 3.0
"""Standard errors that a rise must exceed; high, since each component is tested at each evaluation."""
LEAST_RISE = 0.01
"""Smallest relative rise of a reward that counts."""
SURE_FALL = 2.0
"""Standard errors that a fall of accuracy must exceed. They assume two independent sets of samples. Both evaluations
have the same samples and most answers stay the same, so the true error is smaller."""
LEAST_FALL = 0.02
"""Smallest fall of accuracy that counts."""
COLLAPSE = 0.25
"""Fall of accuracy between two evaluations that is worth a warning if the reward of the same answers falls too."""


@dataclass(frozen=True, kw_only=True)
class Standing:
    """An evaluation of the held-out samples."""

    step: int
    accuracy: float
    reward: float
    """Mean reward of the answers; NaN for runs without a reward."""
    num_samples: float
    num_rows: int
    """Training steps recorded before the evaluation."""


class Watch:
    """Watcher of the rows of metrics.jsonl as they are recorded; the same rows give the same warnings."""

    def __init__(self, ranges: Mapping[str, Range | None], known: Sequence[str] = ()) -> None:
        """Watch the components in `ranges`: the lowest and highest value of each, None if unknown.

        `known` are the warnings that there are before the first row.
        """
        self._ranges = ranges
        self._rows: list[Metrics] = []
        """Rows of training steps."""
        self._standings: list[Standing] = []
        self._sentences: dict[str, str] = {sentence: sentence for sentence in known}
        """Warning by case, e.g. by "constant box"."""

    @property
    def warnings(self) -> list[str]:
        """Return all warnings so far, the oldest first."""
        return list(dict.fromkeys(self._sentences.values()))

    def see(self, row: Metrics) -> list[str]:
        """Add a row of metrics.jsonl and return the warnings that are new with it."""
        num_known = len(self.warnings)
        if "reward/zero_std_groups" in row:
            self._rows.append(row)
            self._add("formless", formless(self._rows[:FORM_STEPS]))
            self._add("silent", silence(self._rows[-SILENT_STEPS:]))
            for name, ends in self._ranges.items():
                self._add(f"constant {name}", constant(name, ends, self._rows[-WINDOW:]))
                self._add(f"saturated {name}", saturated(name, ends, self._rows[-WINDOW:]))
        if f"{HELD_OUT}/accuracy" in row:
            self._compare(row)
        return self.warnings[num_known:]

    def _add(self, case: str, sentence: str) -> None:
        if sentence:
            self._sentences.setdefault(case, sentence)

    def _compare(self, row: Metrics) -> None:
        """Compare the row's evaluation with the best one before it."""
        now = Standing(
            step=int(row["step"]),
            accuracy=row[f"{HELD_OUT}/accuracy"],
            reward=row.get(f"{HELD_OUT}/reward", nan),
            num_samples=row[f"{HELD_OUT}/samples"],
            num_rows=len(self._rows),
        )
        if self._standings:
            best = max(self._standings, key=lambda standing: standing.accuracy)
            metrics = {"reward": "reward/mean"} | {name: f"reward/{name}/mean" for name in self._ranges}
            new = {name: metric for name, metric in metrics.items() if f"opposite {name}" not in self._sentences}
            opposed = opposite(best, now, new, self._rows)
            for name, sentence in opposed.items():
                self._add(f"opposite {name}", sentence)
            if not opposed:
                self._add(f"collapse at {now.step}", collapse(self._standings[-1], now))
        self._standings.append(now)


def silence(rows: Sequence[Metrics]) -> str:
    """Return a warning if no group of the rows had any contrast, else ""."""
    shares = [row.get("contrastive/left", row["reward/zero_std_groups"]) for row in rows]
    if len(rows) < SILENT_STEPS or min(shares) < 1:
        return ""
    return f"no group had two different rewards in {_steps(rows)}: the model learns nothing any more"


def formless(rows: Sequence[Metrics]) -> str:
    """Return a warning if hardly an answer of the first steps had the form that is asked for, else ""."""
    shares, clipped = values(rows, "response/well_formed"), values(rows, "response/length/clipped")
    if len(shares) < FORM_STEPS or max(shares) >= LEAST_FORM:
        return ""
    advice = "see that data.instructions asks for the form, take a larger model, or teach the form first with algo=sft"
    if fmean(clipped) >= MUCH_CLIPPED:
        advice = f"{fmean(clipped):.0%} were cut off, so raise rollout.max_response_tokens"
    return (
        f"{fmean(shares):.0%} of the answers in {_steps(rows)} have the form that is asked for, and rewards find next "
        f"to nothing in the others; {advice}"
    )


def constant(name: str, ends: Range | None, rows: Sequence[Metrics]) -> str:
    """Return a warning if a component gave every completion the same value, other than its top, else ""."""
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
    """Return a warning if a component is at its top or hardly varies, else "".

    A penalty at its top is one that no completion incurs, which is no reason for a warning.
    """
    means, spreads = values(rows, f"reward/{name}/mean"), values(rows, f"reward/{name}/std")
    if ends is None or min(len(means), len(spreads)) < WINDOW:
        return ""
    (low, high), mean, spread = ends, fmean(means), max(spreads)
    if at_top(mean, ends):
        sentence = f"reward {name} has saturated: {mean:.3f} of at most {high:g} in {_steps(rows)}"
        return f"{sentence}, so that it hardly tells answers apart any more" if high > 0 else ""
    if LITTLE_SPREAD * (high - low) > spread > SAME * abs(mean):
        return (
            f"reward {name} has saturated at {mean:.3f}: completions differ by {spread:.2g} at most in {_steps(rows)}, "
            "and what is learned from that is noise"
        )
    return ""


def opposite(best: Standing, now: Standing, metrics: Mapping[str, str], rows: Sequence[Metrics]) -> dict[str, str]:
    """Return one warning for all rewards that rose while held-out accuracy fell, by the name of each; {} if none did.

    `metrics` names the metric of each reward; `rows` are those of all training steps so far.
    """
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


def collapse(last: Standing, now: Standing) -> str:
    """Return a warning if accuracy and the reward of the same answers fell together and far, else ""."""
    if not (fell(last, now) and last.accuracy - now.accuracy >= COLLAPSE and now.reward < last.reward):
        return ""
    return (
        f"held-out accuracy fell from {last.accuracy:.3f} after {last.step} steps to {now.accuracy:.3f} after "
        f"{now.step}, and the reward of these answers from {last.reward:.3g} to {now.reward:.3g}: the policy broke, by "
        f"damaged weights or by steps that are too large (algo.lr); look at samples/, and resume from before"
    )


def fell(best: Standing, now: Standing) -> bool:
    """Return True if accuracy fell by more than chance explains, given the number of samples."""
    variances = [standing.accuracy * (1 - standing.accuracy) / standing.num_samples for standing in (best, now)]
    error = sqrt(sum(variances))
    return best.accuracy - now.accuracy > max(LEAST_FALL, SURE_FALL * error)


def rose(earlier: Sequence[float], later: Sequence[float]) -> bool:
    """Return True if the mean over the later steps is higher by more than the scatter between steps explains."""
    if min(len(earlier), len(later)) < LEAST_STEPS:
        return False
    error = sqrt(sum(variance(side) / len(side) for side in (earlier, later)))
    size = max(abs(fmean(earlier)), abs(fmean(later)))
    return fmean(later) - fmean(earlier) > max(SURE_RISE * error, LEAST_RISE * size)


def sides(start: int, end: int, rows: Sequence[Metrics]) -> tuple[Sequence[Metrics], Sequence[Metrics]]:
    """Return the training steps just before each of two evaluations, which saw `start` and `end` rows.

    If the first evaluation has none before it, the first steps after it stand in.
    """
    if start >= LEAST_STEPS:
        return rows[max(0, start - EDGE) : start], rows[max(start, end - EDGE) : end]
    count = min(EDGE, end // 2)
    return rows[:count], rows[end - count : end]


def at_top(mean: float, ends: Range) -> bool:
    low, high = ends
    return mean >= high - NEAR_TOP * (high - low)


def values(rows: Sequence[Metrics], name: str) -> list[float]:
    """Return the metric's values in the rows that have it."""
    return [row[name] for row in rows if isfinite(row.get(name, nan))]


def _steps(rows: Sequence[Metrics]) -> str:
    return f"steps {rows[0]['step']:.0f} to {rows[-1]['step']:.0f}"
