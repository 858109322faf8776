"""report.html of a chain: its stages in order, each with its results and a link to its report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from launch.pages.sweep_page import COLUMNS, Column
from launch.pages.theme import MARK, document
from launch.run.folder import REPORT


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
    """True if the stage has written a report.html."""


def chain_page(title: str, stages: Sequence[StageRow], ended_early: str) -> str:
    """Return the page; `ended_early` says in a sentence why the chain ended early, "" if it finished."""
    present = {entry for stage in stages for entry in stage.entries}
    columns = [column for column in COLUMNS if column.entry in present]
    heads = "".join(
        f"<th>{escape(head)}</th>" for head in ("", "Stage", *(column.title for column in columns), "Report")
    )
    rows = "".join(_row(number, stage, columns) for number, stage in enumerate(stages, start=1))
    main = (
        "<section><header><h2>Stages</h2><p>Each stage starts from the model of the one before. Grey numbers are the "
        'values at the start of the stage.</p></header><div class="card scroll"><table class="ranking">'
        f"<thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div></section>"
    )
    status = '<span class="status bad">ended early</span>' if ended_early else '<span class="status">finished</span>'
    note = ended_early or f"{len(stages)} stages"
    header = (
        f'<header class="mast"><div class="mark">{MARK}Assay chain {status}</div>'
        f"<h1>{escape(title)}</h1><p>{escape(note)}</p></header>"
    )
    return document(f"Chain {title}", f"{header}<main>{main}</main>")


def _row(number: int, stage: StageRow, columns: Sequence[Column]) -> str:
    link = f'<a href="{escape(stage.folder)}/{REPORT}">{escape(stage.folder)}</a>'
    report = link if stage.report else escape(stage.folder)
    cells = "".join(column.cell(stage.entries) for column in columns)
    count = str(number) if stage.done else "–"
    return f'<tr><td class="count">{count}</td><th>{escape(stage.name)}</th>{cells}<td class="count">{report}</td></tr>'
