"""report.html of a training run: one page that needs no other file."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from html import escape
from pathlib import Path
from statistics import fmean
from typing import Any

from launch.pages.charts import draw, format_number
from launch.pages.correlations import correlation_table
from launch.pages.curves import run_charts
from launch.pages.gallery import AnswerReader, draw_shelf, shelves
from launch.pages.look_table import Deltas, looks_section, recorded_maps
from launch.pages.theme import MARK, document
from rl.evaluation.metrics import category_metrics, evaluation_metrics
from rl.metrics import HELD_OUT
from rl.roles import Metrics
from rl.types import Group

EDGE_STEPS = 10
"""Number of steps averaged at each end of the run."""
COLUMNS = {
    "accuracy": "Accuracy",
    "recall": "Recall",
    "precision": "Precision",
    "mean_iou": "Mean IoU",
    "iou50": "IoU ≥ 0.5",
    "knowledge": "Right knowledge",
    "format": "Well-formed",
}
SUMMARY_FACTS: dict[str, tuple[str, Callable[[float], str]]] = {
    "steps": ("Steps", format_number),
    "seconds": ("Duration", lambda seconds: str(timedelta(seconds=round(seconds)))),
    "samples_per_s": ("Completions per second", format_number),
    "parity_mean": ("Engine–learner log-prob gap", format_number),
    "overhead": ("Overhead", lambda share: f"{share:.1%}"),
}
"""Label and format of each number of the summary that is shown."""
PIXEL_AUROC = f"{HELD_OUT}/pixel_auroc"


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """Content of a report."""

    title: str
    facts: Mapping[str, str]
    """Model, data and settings in words, by label."""
    rows: Sequence[Metrics]
    """The rows of metrics.jsonl."""
    before: Sequence[Group] = ()
    """Scored greedy answers to the held-out samples before training; () if there was no evaluation."""
    after: Sequence[Group] = ()
    """Scored greedy answers of the latest evaluation; () if there were fewer than two."""
    summary: Mapping[str, Any]
    """summary.json; its numbers named in SUMMARY_FACTS are shown."""
    reward_range: tuple[float, float]
    failed: str = ""
    """The sentence that ended the run early; "" when it ended well or was stopped."""
    stopped: str = ""
    """Sentence on what stopped the run and when; "" when nothing did."""
    warnings: Sequence[str] = ()
    """Sentences of the warnings, oldest first."""
    deltas: Deltas | None = None
    """Thresholds of J in the reward; None if no reward reads J."""
    resize: str = "bilinear"
    """Name of the interpolation that enlarges a map to its image."""


def write_report(folder: Path, record: RunRecord, read: AnswerReader) -> Path:
    """Write <folder>/report.html and return its path."""
    path = folder / "report.html"
    path.write_text(_page(folder, record, read), encoding="utf-8", errors="replace")
    return path


def _page(folder: Path, record: RunRecord, read: AnswerReader) -> str:
    parts = [_warnings(record), _tiles(record), _facts(record), _held_out(record), _curves(record)]
    known = [*record.before, *record.after]
    parts.append(looks_section(recorded_maps(folder, record.rows), known, record.resize, record.deltas))
    return document(record.title, f"{_header(record)}<main>{''.join(parts)}{_gallery(record, read)}</main>")


def _header(record: RunRecord) -> str:
    kind, word = ("bad", "failed") if record.failed else ("warn", "stopped") if record.stopped else ("", "finished")
    sentence = record.failed or record.stopped
    reason = f"<p>{escape(sentence)}</p>" if sentence else ""
    mark = f'<div class="mark">{MARK}Assay <span class="{f"status {kind}".strip()}">{word}</span></div>'
    return f'<header class="mast">{mark}<h1>{escape(record.title)}</h1>{reason}</header>'


def _warnings(record: RunRecord) -> str:
    items = "".join(f"<li>{escape(sentence)}</li>" for sentence in record.warnings)
    return f'<section class="card warnings"><h2>Warnings</h2><ul>{items}</ul></section>' if items else ""


def _tiles(record: RunRecord) -> str:
    rewards = [row["reward/mean"] for row in record.rows if row.get("reward/mean") is not None]
    tiles = []
    if rewards:
        low, high = record.reward_range
        note = f"first and last {min(EDGE_STEPS, len(rewards))} steps; range {low:g} to {high:g}"
        tiles.append(_tile("Reward", fmean(rewards[:EDGE_STEPS]), fmean(rewards[-EDGE_STEPS:]), note))
    before, after = _overall(record.before), _overall(record.after)
    for name, title in (("accuracy", "Held-out accuracy"), ("mean_iou", "Held-out mean IoU")):
        if name in after:
            note = f"{len(record.after)} held-out samples" if name == "accuracy" else "boxes of the defective samples"
            tiles.append(_tile(title, before.get(name), after[name], note))
    pixels = [row[PIXEL_AUROC] for row in record.rows if row.get(PIXEL_AUROC) is not None]
    if pixels:
        earlier = pixels[0] if len(pixels) > 1 else None
        tiles.append(_tile("Held-out pixel AUROC", earlier, pixels[-1], "attention maps against the true masks"))
    return f'<div class="tiles">{"".join(tiles)}</div>'


def _tile(title: str, before: float | None, after: float, note: str) -> str:
    earlier = "" if before is None else f"<s>{before:.2f} →</s>"
    return (
        f'<div class="card tile"><h3>{escape(title)}</h3><div class="value">{earlier}<b>{after:.2f}</b>'
        f"{_delta(before, after)}</div><p>{escape(note)}</p></div>"
    )


def _delta(before: float | None, after: float) -> str:
    if before is None:
        return ""
    change = round(after - before, 2)
    kind = "good" if change > 0 else "bad" if change < 0 else ""
    return f'<span class="delta {kind}">{change:+.2f}</span>'.replace("-", "−")


def _overall(groups: Sequence[Group]) -> Metrics:
    return evaluation_metrics(groups) if groups else {}


def _facts(record: RunRecord) -> str:
    measured = {
        label: show(record.summary[name]) for name, (label, show) in SUMMARY_FACTS.items() if name in record.summary
    }
    facts = {**record.facts, **measured}
    items = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in facts.items())
    return f'<dl class="card facts">{items}</dl>' if facts else ""


def _held_out(record: RunRecord) -> str:
    if not record.after:
        return ""
    before, after = category_metrics(record.before), category_metrics(record.after)
    rows = [_row("All", _overall(record.before), _overall(record.after))]
    rows += [_row(name, before.get(name, {}), metrics) for name, metrics in after.items()]
    heads = "".join(f"<th>{escape(title)}</th>" for title in ("Category", "Samples", *COLUMNS.values()))
    legend = "The mark on each bar and the grey number are the value before training." if record.before else ""
    return (
        "<section><header><h2>Held-out samples</h2>"
        f"<p>Greedy answers to samples that training never saw. {legend}</p></header>"
        f'<div class="card scroll"><table><thead><tr>{heads}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'
        "</section>"
    )


def _row(name: str, before: Metrics, after: Metrics) -> str:
    cells = "".join(_cell(before.get(column), after.get(column)) for column in COLUMNS)
    return f'<tr><th>{escape(name)}</th><td class="count">{after["samples"]:.0f}</td>{cells}</tr>'


def _cell(before: float | None, after: float | None) -> str:
    """Show a share as a number and a bar, an undefined one as a dash."""
    if after is None:
        return "<td>–</td>"
    earlier = "" if before is None else f"<small>{before:.2f}</small>"
    mark = "" if before is None else f'<u style="left:min({100 * before:.1f}%, 100% - 2px)"></u>'
    return (
        f'<td><b>{after:.2f}</b>{earlier}<span class="bar"><i style="width:{100 * after:.1f}%"></i>{mark}</span></td>'
    )


def _curves(record: RunRecord) -> str:
    charts = "".join(draw(chart) for chart in run_charts(record.rows, record.reward_range, record.deltas))
    table = correlation_table(record.rows)
    body = f'<div class="charts">{charts}</div>{table}' if charts else "<p>No training step was recorded.</p>"
    return (
        "<section><header><h2>Training</h2><p>Thin lines are single steps, bold lines a running mean. "
        f"Point at a chart for the values of a step.</p></header>{body}</section>"
    )


def _gallery(record: RunRecord, read: AnswerReader) -> str:
    if not record.after:
        return ""
    drawn = "".join(draw_shelf(name, cases, read) for name, cases in shelves(record.before, record.after).items())
    return (
        '<section><header><h2>Answers</h2><ul class="key"><li><i></i>true place</li>'
        f'<li><i class="said"></i>predicted place</li></ul></header>{drawn}</section>'
    )
