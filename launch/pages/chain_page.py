"""report.html of a chain: its stages in their order, what each came to, and where its own report is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from launch.pages.sweep_page import COLUMNS, Column
from launch.pages.theme import MARK, document


@dataclass(frozen=True, kw_only=True)
class StageRow:
    """A stage as the page shows it."""

    name: str
    folder: str
    """Its run folder, relative to the page."""
    entries: Mapping[str, float]
    """The numbers of its summary by dotted path."""
    done: bool
    report: bool
    """Whether it has left a report.html."""


def chain_page(title: str, stages: Sequence[StageRow], ended_early: str) -> str:
    """The page; `ended_early` is the sentence of a chain that did not come to its end, else ""."""
    present = {entry for stage in stages for entry in stage.entries}
    columns = [column for column in COLUMNS if column.entry in present]
    heads = "".join(
        f"<th>{escape(head)}</th>" for head in ("", "Stage", *(column.title for column in columns), "Report")
    )
    rows = "".join(_row(number, stage, columns) for number, stage in enumerate(stages, start=1))
    main = (
        "<section><header><h2>Stages</h2><p>Each starts from the model of the last one. The grey number is the value "
        f'at its start.</p></header><div class="card scroll"><table class="ranking"><thead><tr>{heads}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div></section>"
    )
    status = '<span class="status bad">ended early</span>' if ended_early else '<span class="status">finished</span>'
    told = ended_early or f"{len(stages)} stages"
    header = (
        f'<header class="mast"><div class="mark">{MARK}Assay chain {status}</div>'
        f"<h1>{escape(title)}</h1><p>{escape(told)}</p></header>"
    )
    return document(f"Chain {title}", f"{header}<main>{main}</main>")


def _row(number: int, stage: StageRow, columns: Sequence[Column]) -> str:
    link = f'<a href="{escape(stage.folder)}/report.html">{escape(stage.folder)}</a>'
    report = link if stage.report else escape(stage.folder)
    cells = "".join(column.cell(stage.entries) for column in columns)
    count = str(number) if stage.done else "–"
    return f'<tr><td class="count">{count}</td><th>{escape(stage.name)}</th>{cells}<td class="count">{report}</td></tr>'
