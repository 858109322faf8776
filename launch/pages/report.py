"""report.html of a training run: one page that needs no other file."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from html import escape
from pathlib import Path
from statistics import fmean
from typing import Any

from launch.pages.charts import Chart, draw, format_number, is_smoothed, is_zero
from launch.pages.correlations import correlation_table
from launch.pages.curves import run_charts
from launch.pages.gallery import AnswerReader, draw_shelf, shelves
from launch.pages.held_out import held_out_section, overall
from launch.pages.look_table import Deltas, looks_section, recorded_maps
from launch.pages.provenance import Provenance, provenance_section
from launch.pages.theme import MARK, document, fact_items, warnings_card
from launch.run.folder import REPORT, write_whole
from launch.run.invocation import titled
from rl.evaluation.metrics import Evaluation
from rl.metrics import HELD_OUT, reward_edges
from rl.roles import Metrics

SUMMARY_FACTS: dict[str, tuple[str, Callable[[float], str]]] = {
    "steps": ("Steps", format_number),
    "seconds": ("Duration", lambda seconds: str(timedelta(seconds=round(seconds)))),
    "samples_per_s": ("Completions per second", format_number),
    "parity_mean": ("Engine–learner log-prob gap", format_number),
    "overhead": ("Overhead", lambda share: f"{share:.1%}"),
    "gpu_hours": ("GPU-hours", format_number),
    "core_hours": ("CPU core-hours", format_number),
}
"""Label and format of each number of the summary that is shown."""
PIXEL_AUROC = f"{HELD_OUT}/pixel_auroc"


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """Content of a report."""

    title: str
    """The experiment, or the name of the run folder."""
    overrides: Sequence[str] = ()
    """What was typed to change the experiment."""
    stage: str = ""
    """Name of the stage if the run is a part of a chain."""
    facts: Mapping[str, str]
    """Model, data and settings in words, by label."""
    rows: Sequence[Metrics]
    """The rows of metrics.jsonl."""
    evaluations: Sequence[Evaluation] = ()
    """The first evaluation and the latest one, or the only one."""
    summary: Mapping[str, Any]
    """summary.json; its numbers named in SUMMARY_FACTS are shown."""
    reward_range: tuple[float, float]
    running: str = ""
    """How far the run has come; "" when it has ended."""
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
    provenance: Provenance

    @property
    def before(self) -> Evaluation | None:
        """The evaluation with which the latest one is compared."""
        return self.evaluations[0] if len(self.evaluations) > 1 else None

    @property
    def after(self) -> Evaluation | None:
        """The latest evaluation."""
        return self.evaluations[-1] if self.evaluations else None


def write_report(folder: Path, record: RunRecord, read: AnswerReader) -> Path:
    """Write <folder>/report.html in one piece, so that it can be read at any time; return its path."""
    path = folder / REPORT
    write_whole(path, _page(folder, record, read))
    return path


def _page(folder: Path, record: RunRecord, read: AnswerReader) -> str:
    known = [group for evaluation in record.evaluations for group in evaluation.groups]
    parts = [
        warnings_card(record.warnings),
        _tiles(record),
        _facts(record),
        held_out_section(record.before, record.after, read),
        _curves(record),
        looks_section(recorded_maps(folder, record.rows), known, record.resize, record.deltas),
        _gallery(record, read),
        provenance_section(record.provenance),
    ]
    return document(_title(record), f"{_header(record)}<main>{''.join(parts)}</main>")


def _header(record: RunRecord) -> str:
    kind, word, sentence = _status(record)
    reason = f"<p>{escape(sentence)}</p>" if sentence else ""
    mark = f'<div class="mark">{MARK}Assay <span class="{f"status {kind}".strip()}">{word}</span></div>'
    return f'<header class="mast">{mark}<h1>{_heading(record)}</h1>{reason}</header>'


def _status(record: RunRecord) -> tuple[str, str, str]:
    """Return the colour of the run's status, its word and a sentence on it."""
    if record.failed:
        return "bad", "failed", record.failed
    if record.stopped:
        return "warn", "stopped", record.stopped
    return ("busy", "running", record.running) if record.running else ("", "finished", "")


def _title(record: RunRecord) -> str:
    return titled(record.title, " ".join(record.overrides), record.stage)


def _heading(record: RunRecord) -> str:
    """Return the title, with what was typed in smaller letters."""
    typed = f"<small>{escape(' '.join(record.overrides))}</small>" if record.overrides else ""
    return titled(escape(record.title), typed, escape(record.stage))


def _tiles(record: RunRecord) -> str:
    first, last = reward_edges(record.rows)
    tiles = []
    if last:
        low, high = record.reward_range
        which = "first and last" if first else "only"
        steps = f"{len(last)} steps" if len(last) > 1 else "step"
        note = f"{which} {steps}; range {low:g} to {high:g}"
        tiles.append(_tile("Reward", fmean(first) if first else None, fmean(last), note))
    before, after = overall(record.before), overall(record.after)
    for name, title in (("accuracy", "Held-out accuracy"), ("mean_iou", "Held-out mean IoU")):
        if record.after and name in after:
            note = (
                f"{after['samples']:.0f} held-out samples" if name == "accuracy" else "boxes of the defective samples"
            )
            tiles.append(_tile(title, before.get(name), after[name], f"{note}, {record.after.time}"))
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


def _facts(record: RunRecord) -> str:
    measured = {
        label: show(record.summary[name]) for name, (label, show) in SUMMARY_FACTS.items() if name in record.summary
    }
    facts = {**record.facts, **measured}
    return f'<dl class="card facts">{fact_items(facts)}</dl>' if facts else ""


def _curves(record: RunRecord) -> str:
    charts = run_charts(record.rows, record.reward_range, record.deltas)
    zeros = [chart for chart in charts if is_zero(chart)]
    drawn = "".join(draw(chart) for chart in charts if chart not in zeros)
    body = f'<div class="charts">{drawn}</div>' if drawn or zeros else "<p>No training step was recorded.</p>"
    body += _zeros(zeros) + correlation_table(record.rows)
    has_means = any(is_smoothed(chart, series) for chart in charts for series in chart.series)
    lines = "Thin lines are single steps, bold lines a running mean. " if has_means else ""
    note = f"<p>{lines}Point at a chart for the values of a step.</p>" if drawn else ""
    return f"<section><header><h2>Training</h2>{note}</header>{body}</section>"


def _zeros(charts: Sequence[Chart]) -> str:
    """Fold away the charts in which nothing ever happened."""
    if not charts:
        return ""
    names = escape(", ".join(chart.title for chart in charts))
    drawn = "".join(map(draw, charts))
    return f'<details class="zeros"><summary>Always 0: {names}</summary><div class="charts">{drawn}</div></details>'


def _gallery(record: RunRecord, read: AnswerReader) -> str:
    if not record.after:
        return ""
    before = record.before.groups if record.before else ()
    drawn = "".join(draw_shelf(name, cases, read) for name, cases in shelves(before, record.after.groups).items())
    return (
        '<section><header><h2>Answers</h2><ul class="key"><li><i></i>true place</li>'
        f'<li><i class="said"></i>predicted place</li></ul></header>{drawn}</section>'
    )
