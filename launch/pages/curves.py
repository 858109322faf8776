"""The charts of a run: their metrics, titles and captions."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from launch.pages.charts import Chart, Series
from rl.metrics import HELD_OUT, MEANINGS, component_names
from rl.roles import Metrics
from rl.types import DEFECTIVE, NORMAL

STAGES = ("rollout", "look", "reward", "reference", "update", "publish", "sync")
"""Consecutive stages of a step; `generate` is a part of rollout, `gradient` one of update."""
EXACT = ("actor/lr",)
"""Metrics without noise, which a running mean would only blur."""
SINGLE = (
    ("Loss", "actor/loss"),
    ("KL to the reference", "actor/kl"),
    ("Entropy", "actor/entropy"),
    ("Clipped tokens", "actor/clip_ratio"),
    ("Gradient norm", "actor/grad_norm"),
    ("Learning rate", "actor/lr"),
    ("Unjudged completions", "reward/unjudged"),
    ("Throughput", "perf/tokens_per_s"),
)
CONTRAST = {
    "reward/zero_std_groups": "as sampled",
    "contrastive/left": "after repair",
    "contrastive/repaired_all_wrong": "repaired by a reference text",
    "contrastive/repaired_all_right": "repaired by a teacher",
    "contrastive/left_out": "replaced by new groups",
}
NUM_COLORS = 7
AGREEMENT_COLORS = {DEFECTIVE: 4, NORMAL: 1}


def run_charts(
    rows: Sequence[Metrics], reward_range: tuple[float, float], deltas: tuple[float, float] | None = None
) -> list[Chart]:
    """Return the charts of a run in reading order; those without data draw nothing.

    J earns its reward above the first of the deltas for defective samples, below the second for normal ones.
    """
    single = [
        Chart(
            title=title,
            caption=_sentence(MEANINGS[name].text),
            series=(series(rows, name),),
            smooth=name not in EXACT,
        )
        for title, name in SINGLE
    ]
    first = [_reward(rows, reward_range), _components(rows), _held_out(rows), _contrast(rows)]
    levels = {f"δ{index} = {value:g}": value for index, value in enumerate(deltas or (), 1)}
    return [*first, *_preferences(rows), *_looks(rows, levels), *single, *_lengths(rows), *_costs(rows)]


def series(rows: Sequence[Metrics], name: str, label: str = "", color: int = 0) -> Series:
    """Collect a metric's values over the steps that have it, labelled `label` or by the end of its name."""
    points = tuple((row["step"], row[name]) for row in rows if row.get(name) is not None)
    return Series(name=label or name.rsplit("/", 1)[-1].replace("_", " "), points=points, color=color)


def _reward(rows: Sequence[Metrics], reward_range: tuple[float, float]) -> Chart:
    low, high = reward_range
    held_out = series(rows, f"{HELD_OUT}/reward", "held-out, greedy", color=1)
    return Chart(
        title="Reward",
        caption=f"Mean total over the completions of a step; it lies between {low:g} and {high:g}.",
        series=(series(rows, "reward/mean", "reward"), *([held_out] if len(held_out.points) > 2 else [])),
        wide=True,
    )


def _components(rows: Sequence[Metrics]) -> Chart:
    names = component_names(rows)
    named = tuple(series(rows, f"reward/{name}/mean", name, color % NUM_COLORS) for color, name in enumerate(names))
    return Chart(title="Reward components", caption="Means before weighting.", series=named, wide=True)


def _held_out(rows: Sequence[Metrics]) -> Chart:
    """Draw the held-out metrics that have three evaluations or more; two are shown by the table alone."""
    names = {"format": "", "accuracy": "", "mean_iou": "", "knowledge": "right knowledge", "pixel_auroc": "pixel AUROC"}
    labelled = enumerate(names.items())
    named = [series(rows, f"{HELD_OUT}/{name}", label, color) for color, (name, label) in labelled]
    enough = tuple(one for one in named if len(one.points) > 2)
    return Chart(title="Held-out samples", caption="Greedy answers to samples that training never saw.", series=enough)


def _contrast(rows: Sequence[Metrics]) -> Chart:
    """Draw the groups without contrast as sampled, and after contrastive or dynamic sampling if either is on."""
    named = [series(rows, name, label, color) for color, (name, label) in enumerate(CONTRAST.items())]
    present = tuple(one for one in named if one.points)
    if len(present) < 2:
        caption = _sentence(MEANINGS["reward/zero_std_groups"].text)
    else:
        caption = "Share of the sampled groups whose completions all earned the same, and what was done about them."
    return Chart(title="Groups without contrast", caption=caption, series=present)


def _looks(rows: Sequence[Metrics], levels: Mapping[str, float]) -> list[Chart]:
    """Draw J of each label in training and held out, the share of selected tokens, and their entropy."""
    trained = [
        series(rows, f"attention/agreement_{label}/mean", label, color) for label, color in AGREEMENT_COLORS.items()
    ]
    asked = [
        replace(series(rows, f"{HELD_OUT}/agreement_{label}", f"{label}, held-out", color), dots=True)
        for label, color in AGREEMENT_COLORS.items()
    ]
    return [
        Chart(
            title="Agreement of attention",
            caption="J: how far the most relevant tokens look at the same places. Dots are held-out answers.",
            series=(*asked, *trained),
            levels=levels,
        ),
        Chart(
            title="Selected tokens",
            caption="Share of tokens that the maps are made of, and of answers with one such token, whose J is 1.",
            series=(
                series(rows, "attention/selected/mean", "selected"),
                series(rows, "attention/lone/mean", "answers with one token", 1),
            ),
        ),
        Chart(
            title="Spread of attention",
            caption=_sentence(MEANINGS["attention/entropy/mean"].text),
            series=(series(rows, "attention/entropy/mean", "entropy"),),
        ),
    ]


def _preferences(rows: Sequence[Metrics]) -> list[Chart]:
    """Draw margins, accuracies and rewards of the pairs, for the whole answer and its parts."""
    parts = {"": "whole answer", "knowledge_": "knowledge", "reasoning_": "reasoning"}
    sides = {"chosen": 1, "rejected": 4}

    def of_parts(kind: str) -> tuple[Series, ...]:
        named = enumerate(parts.items())
        found = [series(rows, f"preference/{part}{kind}/mean", label, color) for color, (part, label) in named]
        return tuple(one for one in found if one.points)

    def of_sides(kind: str) -> tuple[Series, ...]:
        return tuple(series(rows, f"preference/{side}_{kind}/mean", side, color) for side, color in sides.items())

    return [
        Chart(
            title="Preference accuracy",
            caption="Share of pairs in which the policy has moved towards the chosen answer.",
            series=of_parts("accuracy"),
            wide=True,
        ),
        Chart(title="Preference margin", caption="β log π/π_ref, chosen minus rejected.", series=of_parts("margin")),
        Chart(title="Preference rewards", caption="β log π/π_ref of each side.", series=of_sides("reward")),
        Chart(
            title="Log-probabilities of the answers",
            caption="Log-probability of a whole answer. If both fall, the learning rate is probably too high.",
            series=of_sides("logprob"),
        ),
        Chart(
            title="KTO's reference point",
            caption=_sentence(MEANINGS["preference/kl/mean"].text),
            series=(series(rows, "preference/kl/mean", "KL"),),
        ),
    ]


def _lengths(rows: Sequence[Metrics]) -> list[Chart]:
    lengths = (series(rows, "response/length/mean"), series(rows, "response/length/max", color=6))
    clipped = (series(rows, "response/length/clipped"),)
    caption = _sentence(MEANINGS["response/length/clipped"].text)
    return [
        Chart(title="Response length", caption="Number of tokens of a completion.", series=lengths),
        Chart(
            title="Length and reward",
            caption=_sentence(MEANINGS["reward/length_correlation"].text),
            series=(series(rows, "reward/length_correlation", "correlation"),),
        ),
        Chart(title="Cut-off responses", caption=caption, series=clipped),
    ]


def _costs(rows: Sequence[Metrics]) -> list[Chart]:
    parity = (series(rows, "parity/logprob_abs_mean", "mean"), series(rows, "parity/logprob_abs_max", "max", color=6))
    return [
        Chart(
            title="Parity",
            caption="Absolute difference between the engine's and the learner's log-probabilities of the same tokens.",
            series=parity,
            log=True,
        ),
        Chart(
            title="Where the time goes",
            caption="Seconds of a step by stage.",
            series=_stages(rows),
            stacked=True,
            unit=" s",
        ),
    ]


def _stages(rows: Sequence[Metrics]) -> tuple[Series, ...]:
    timed = [row for row in rows if "time/step" in row]
    present = [name for name in STAGES if any(f"time/{name}" in row for row in timed)]
    named = [
        Series(
            name=name,
            points=tuple((row["step"], row.get(f"time/{name}", 0.0)) for row in timed),
            color=STAGES.index(name),
        )
        for name in present
    ]
    known = [sum(row.get(f"time/{name}", 0.0) for name in present) for row in timed]
    other = tuple((row["step"], max(0.0, row["time/step"] - part)) for row, part in zip(timed, known, strict=True))
    return (*named, Series(name="other", points=other, color=len(STAGES)))


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:] + "."
