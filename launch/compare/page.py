"""compare.html: tables and curves of several runs on one page that needs no other file."""

import os
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from urllib.parse import quote

from launch.compare.runs import ComparedRun
from launch.compare.tables import Cell, Table, shown
from launch.pages.charts import Chart, draw
from launch.pages.curves import SINGLE
from launch.pages.overlays import NAMED, color_of, overlay
from launch.pages.theme import MARK, document, warnings_card
from launch.run.folder import REPORT
from rl.metrics import HELD_OUT, component_names, meaning

HELD_OUT_CURVES = {
    "reward": "Held-out reward",
    "accuracy": "Held-out accuracy",
    "mean_iou": "Held-out mean IoU",
    "knowledge": "Held-out right knowledge",
    "pixel_auroc": "Held-out pixel AUROC",
}
STYLE = """
.compared th:first-child { position: sticky; left: 0; background: var(--card); z-index: 1; }
.compared tbody th { font-size: 13px; font-weight: 500; }
.compared tbody tr:first-child { background: none; }
.compared td { overflow-wrap: anywhere; min-width: 130px; }
.compared thead th { vertical-align: top; white-space: normal; min-width: 130px; }
.compared thead th { border-bottom: 1px solid var(--edge); }
.compared a { color: inherit; }
"""


def compare_page(folder: Path, runs: Sequence[ComparedRun], tables: Sequence[Table], warning: str) -> str:
    """Return the page for `folder`, from which it links to the runs' reports; `warning` may be ""."""
    names = " · ".join(run.name for run in runs)
    header = (
        f'<header class="mast"><div class="mark">{MARK}Assay comparison</div>'
        f"<h1>{len(runs)} runs</h1><p>{escape(names)}</p></header>"
    )
    main = (
        warnings_card([warning] if warning else [])
        + "".join(_section(folder, runs, table) for table in tables)
        + _curves(runs)
    )
    return document(f"Comparison of {names}", f"{header}<main>{main}</main>", style=STYLE)


def _section(folder: Path, runs: Sequence[ComparedRun], table: Table) -> str:
    if not table.rows:
        return f"<section><header><h2>{table.title}</h2><p>None.</p></header></section>"
    heads = "".join(_head(folder, place, run) for place, run in enumerate(runs))
    rows = "".join(_row(key, cells) for key, cells in table.rows.items())
    return (
        f"<section><header><h2>{table.title}</h2></header>"
        f'<div class="card scroll"><table class="compared"><thead><tr><th>{table.first}</th>{heads}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div></section>"
    )


def _head(folder: Path, place: int, run: ComparedRun) -> str:
    report, name = run.folder / REPORT, escape(run.name)
    if report.exists():
        name = f'<a href="{escape(quote(os.path.relpath(report, folder)))}">{name}</a>'
    return f'<th><i class="dot s{color_of(place)}"></i>{name}</th>'


def _row(key: str, cells: Sequence[Cell]) -> str:
    """Show the cells, numbers with their difference from the first run's."""
    first, *_ = cells
    told = "".join(f"<td>{escape(shown(cell))}{_difference(first, cell)}</td>" for cell in cells)
    return f"<tr><th>{escape(key)}</th>{told}</tr>"


def _difference(first: Cell, cell: Cell) -> str:
    if isinstance(first, str) or isinstance(cell, str) or cell == first:
        return ""
    return f"<small>{'+' if cell > first else '−'}{shown(abs(cell - first))}</small>"


def _curves(runs: Sequence[ComparedRun]) -> str:
    charts = "".join(draw(chart) for chart in compared_charts(runs))
    body = f'<div class="charts overlaid">{charts}</div>' if charts else "<p>No training step was recorded.</p>"
    grey = f"The first {NAMED} have a colour; the others are grey. " if len(runs) > NAMED else ""
    return f"<section><header><h2>Curves</h2><p>{grey}Point at a chart for the values.</p></header>{body}</section>"


def compared_charts(runs: Sequence[ComparedRun]) -> Iterator[Chart]:
    """Yield a chart for each metric that is not 0 in all runs; the first is large."""
    lines = [(run.name, run.rows) for run in runs]
    for number, (title, metric) in enumerate(_metrics(runs)):
        if not any(row.get(metric) for run in runs for row in run.rows):
            continue
        explained = meaning(metric)
        caption = explained.text[0].upper() + explained.text[1:] + "." if explained else metric
        yield overlay(lines, title, metric, caption, wide=number == 0)


def _metrics(runs: Sequence[ComparedRun]) -> Iterator[tuple[str, str]]:
    """Yield titles and metrics in reading order."""
    rows = [row for run in runs for row in run.rows]
    yield "Reward", "reward/mean"
    for name, title in HELD_OUT_CURVES.items():
        yield title, f"{HELD_OUT}/{name}"
    for name in component_names(rows):
        yield f"Reward component {name}", f"reward/{name}/mean"
    yield from SINGLE
    yield "Response length", "response/length/mean"
