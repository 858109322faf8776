"""report.html of `assay pairs`: the numbers of pairs and of texts refused, and how sure the model was."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from launch.pages.charts import nice_ticks
from launch.pages.gallery import data_uri
from launch.pages.theme import MARK, document, fact_items
from rl.data.knowledge.routing import read_trajectory
from rl.types import Sample

BINS = 40
"""Bars of the histogram between 0 and 1."""
FAULTS = {
    "form": "departs from the form <knowledge>, <think>, <answer>",
    "knowledge": "names another piece of knowledge than the one to reason under",
    "answer": "ends right where wrong was wanted, wrong where right was, or with none of the options",
    "leak": "speaks of the hint, or of what only the writer was told",
}
"""The meaning of each kind of reason against a text."""
STYLE = """
.bars rect { vector-effect: non-scaling-stroke; fill: var(--c); }
.bars .band { fill: var(--s0); opacity: .13; }
.legend i.near { background: var(--s0); opacity: .3; }
.yield tbody tr:first-child { background: none; }
.pairs { display: grid; gap: 14px; }
.pair { display: grid; grid-template-columns: 190px 1fr 1fr; overflow: hidden; }
.pair .pictures { display: block; } .pair .asked { border-right: 1px solid var(--edge); }
.pair .asked p { padding: 10px 14px; font-size: 12.5px; color: var(--soft); overflow-wrap: anywhere; }
.pair .side { padding-bottom: 14px; min-width: 0; } .pair blockquote { max-height: none; }
.pair .side + .side { border-left: 1px solid var(--edge); }
.pair h4 { padding: 10px 14px 0; font-size: 12px; font-weight: 550; color: var(--faint); }
.pair h4 + blockquote { padding-top: 2px; }
@media (max-width: 760px) {
  .pair { grid-template-columns: 1fr; } .pair .asked { border: 0; } .pair .asked img { max-width: 190px; }
  .pair .side + .side { border-left: 0; border-top: 1px solid var(--edge); }
}
"""


@dataclass(frozen=True, kw_only=True)
class Selected:
    """The model's probability of the right option of a sample."""

    p_right: float
    num_options: int
    kept: bool


@dataclass(frozen=True, kw_only=True)
class Example:
    """A pair with its sample."""

    sample: Sample
    chosen: str
    rejected: str
    p_right: float | None


@dataclass(frozen=True, kw_only=True)
class PairsRecord:
    """The content of the page."""

    title: str
    facts: Mapping[str, str]
    """Data, knowledge and teacher in words, by label."""
    num_samples: int
    num_kept: int
    num_pairs: int
    margin: float | None
    """Largest distance of p(right) from chance; None if all samples were kept unasked."""
    selected: Sequence[Selected]
    """Samples to which the model gave an option."""
    unanswered: int
    """Number of samples to which the model gave no option."""
    refused: Mapping[str, Mapping[str, int]]
    """Numbers of refused texts by side and kind of reason."""
    left_out: Mapping[str, int]
    """Numbers of samples without a pair by kind of reason."""
    examples: Sequence[Example]
    failed: str = ""
    """Why the run failed; "" if it ended well or was stopped."""
    stopped: str = ""
    """Sentence of a run that was stopped by a signal; "" for any other."""


def page(record: PairsRecord) -> str:
    """Return the page, which loads no other file."""
    parts = (_tiles(record), _facts(record), _histogram(record), _reasons(record), _examples(record.examples))
    return document(record.title, f"{_header(record)}<main>{''.join(parts)}</main>", style=STYLE)


def _header(record: PairsRecord) -> str:
    kind, word = ("bad", "failed") if record.failed else ("warn", "stopped") if record.stopped else ("", "finished")
    told = record.failed or record.stopped
    reason = f"<p>{escape(told)}</p>" if told else ""
    mark = f'<div class="mark">{MARK}Assay pairs <span class="{f"status {kind}".strip()}">{word}</span></div>'
    return f'<header class="mast">{mark}<h1>{escape(record.title)}</h1>{reason}</header>'


def _tiles(record: PairsRecord) -> str:
    near = "all of them, unasked" if record.margin is None else f"p(right) within {record.margin:g} of chance"
    left = sum(record.left_out.values())
    tiles = {
        "Training samples": (record.num_samples, "the split of assay train"),
        "Kept": (record.num_kept, near),
        "Pairs": (record.num_pairs, "both texts verified"),
        "Left out": (left, "no verified text for one side"),
    }
    drawn = "".join(
        f'<article class="card tile"><h3>{title}</h3><div class="value"><b>{count}</b></div>'
        f"<p>{escape(note)}</p></article>"
        for title, (count, note) in tiles.items()
    )
    return f'<div class="tiles">{drawn}</div>'


def _facts(record: PairsRecord) -> str:
    return f'<dl class="card facts">{fact_items(record.facts)}</dl>'


def _histogram(record: PairsRecord) -> str:
    """Draw the kept samples on top of the others, over the band within which samples are kept."""
    if not record.selected or record.margin is None:
        return ""
    bars = [Counter(_bin(one.p_right) for one in record.selected if one.kept is kept) for kept in (True, False)]
    highest = max(bars[0][place] + bars[1][place] for place in range(BINS))
    ticks = nice_ticks(0, highest)
    labels = "".join(
        f'<span class="tick" style="top:{100 - 100 * tick / ticks[-1]:.2f}%">{tick:g}</span>' for tick in ticks
    )
    grid = "".join(f'<path class="grid" d="M0 {100 - 100 * tick / ticks[-1]:.2f}H100"/>' for tick in ticks)
    drawn = "".join(_bar(place, bars[0][place], bars[1][place], ticks[-1]) for place in range(BINS))
    chances = sorted({1 / one.num_options for one in record.selected})
    bands = "".join(_band(chance, record.margin) for chance in chances)
    unanswered = f" Not shown, for want of an option in the answers: {record.unanswered}." if record.unanswered else ""
    return (
        "<section><header><h2>How sure the model is</h2>"
        f"<p>p(right option) of each training sample, and the band around chance in which samples are kept.{unanswered}"
        '</p></header><figure class="card chart"><div class="plot" style="height:230px">'
        f'<div class="ticks">{labels}</div><svg class="bars" viewBox="0 0 100 100" preserveAspectRatio="none" '
        f'role="img" aria-label="Histogram of p(right option)">{bands}{grid}{drawn}</svg></div>'
        '<div class="steps"><span>p = 0</span><span>0.5</span><span>1</span></div>'
        '<ul class="legend"><li><i class="s1"></i>kept</li><li><i class="s6"></i>not kept</li>'
        f'<li><i class="near"></i>within {record.margin:g} of chance</li></ul></figure></section>'
    )


def _bin(p: float) -> int:
    return min(int(p * BINS), BINS - 1)


def _bar(place: int, kept: int, others: int, top: float) -> str:
    """Draw a bar: the kept samples above the others."""
    if not kept + others:
        return ""
    width, low, high = 100 / BINS, 100 * others / top, 100 * (kept + others) / top
    x, inner = place * width + width * 0.06, width * 0.88
    told = f"p from {place / BINS:g} to {(place + 1) / BINS:g}: {kept} kept, {others} not"
    across = f'x="{x:.2f}" width="{inner:.2f}"'
    return (
        f'<g><title>{told}</title><rect class="s6" {across} y="{100 - low:.2f}" height="{low:.2f}"/>'
        f'<rect class="s1" {across} y="{100 - high:.2f}" height="{high - low:.2f}"/></g>'
    )


def _band(chance: float, margin: float) -> str:
    low, high = max(0.0, chance - margin), min(1.0, chance + margin)
    return f'<rect class="band" x="{100 * low:.2f}" y="0" width="{100 * (high - low):.2f}" height="100"/>'


def _reasons(record: PairsRecord) -> str:
    kinds = [kind for kind in FAULTS if any(kind in by_kind for by_kind in (*record.refused.values(), record.left_out))]
    if not kinds:
        return ""
    sides = list(record.refused)
    heads = "".join(f"<th>Texts refused ({escape(side)})</th>" for side in sides)
    rows = "".join(
        f"<tr><th>{kind}</th><td>{escape(FAULTS[kind])}</td>"
        + "".join(f"<td>{record.refused[side].get(kind, 0)}</td>" for side in sides)
        + f"<td>{record.left_out.get(kind, 0)}</td></tr>"
        for kind in kinds
    )
    return (
        "<section><header><h2>What was refused</h2><p>A text is refused for every rule that it breaks, and asked for "
        'anew; a sample is left out for the first rule that its last text broke.</p></header><div class="card scroll">'
        f'<table class="yield"><thead><tr><th>Rule</th><th></th>{heads}<th>Samples left out</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div></section>"
    )


def _examples(examples: Sequence[Example]) -> str:
    if not examples:
        return ""
    cards = "".join(map(_example, examples))
    return (
        "<section><header><h2>Pairs</h2><p>The same rigour under right and under wrong knowledge.</p></header>"
        f'<div class="pairs">{cards}</div></section>'
    )


def _example(example: Example) -> str:
    sample, target = example.sample, example.sample.target
    picture = "".join(
        f'<figure><div class="frame"><img src="{data_uri(path)}" alt="inspected image"></div></figure>'
        for path in sample.images[-1:]
    )
    sure = "" if example.p_right is None else f"<br>p(right) {example.p_right:.3f}"
    options = "<br>".join(f"{letter}: {escape(text)}" for letter, text in target.options.items())
    return (
        f'<article class="card pair"><div class="asked"><div class="pictures">{picture}</div>'
        f"<p>{escape(sample.id)}{sure}</p><p>{options}</p></div>"
        f"{_side('chosen', example.chosen, sample)}{_side('rejected', example.rejected, sample)}</article>"
    )


def _side(name: str, text: str, sample: Sample) -> str:
    read = read_trajectory(text)
    tone, mark = ("good", "✓") if name == "chosen" else ("bad", "✗")
    answer = f"{read.option}: {sample.target.options.get(read.option, '')}"
    parts = {"Knowledge": read.knowledge, "Reasoning": read.reasoning}
    told = "".join(f"<h4>{title}</h4><blockquote>{escape(words)}</blockquote>" for title, words in parts.items())
    return (
        f'<div class="side"><div class="chips"><span class="chip {tone}">{mark} {name}</span>'
        f'<span class="chip">{escape(answer)}</span></div>{told}</div>'
    )
