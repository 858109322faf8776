"""The tables of a comparison, as CSV and as Markdown."""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from launch.compare.runs import ComparedRun, differences
from launch.pages.charts import format_number

Cell = str | float
MISSING = "–"


@dataclass(frozen=True, kw_only=True)
class Table:
    """A row for each key or entry, a column for each run."""

    name: str
    """Name of its CSV file."""
    title: str
    first: str
    """Head of the first column."""
    runs: Sequence[str]
    """Heads of the other columns."""
    rows: Mapping[str, Sequence[Cell]]
    """The cells of the runs; "" if a run lacks the value."""


def summary_table(runs: Sequence[ComparedRun]) -> Table:
    """Return the state and the numbers of each run; an unfinished one has no entry that finished ones lack."""
    finished = [run for run in runs if run.state != "unfinished"] or runs
    found = list(dict.fromkeys(entry for run in finished for entry in run.entries))
    parts = [entry.partition(".")[0] for entry in found]
    entries = sorted(found, key=lambda entry: parts.index(entry.partition(".")[0]))
    numbers: dict[str, Sequence[Cell]] = {entry: [run.entries.get(entry, "") for run in runs] for entry in entries}
    states: dict[str, Sequence[Cell]] = {"state": [run.state for run in runs]}
    return Table(name="summary", title="Summary", first="entry", runs=[run.name for run in runs], rows=states | numbers)


def config_table(runs: Sequence[ComparedRun]) -> Table:
    """Return the config keys in which the runs differ."""
    names = [run.name for run in runs]
    return Table(name="config", title="Config differences", first="key", runs=names, rows=differences(runs))


def as_csv(table: Table) -> str:
    """Return the table with its numbers in full.

    >>> as_csv(Table(name="t", title="T", first="key", runs=["a", "b"], rows={"algo.lr": ["1e-5", 0.5]}))
    'key,a,b\\nalgo.lr,1e-5,0.5\\n'
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([table.first, *table.runs])
    writer.writerows([key, *cells] for key, cells in table.rows.items())
    return text.getvalue()


def as_markdown(table: Table) -> str:
    """Return the table with a head and columns of even width; an empty one says so."""
    if not table.rows:
        return f"## {table.title}\n\nNone.\n"
    lines = [[table.first, *table.runs], *([key, *map(shown, cells)] for key, cells in table.rows.items())]
    lines = [[cell.replace("|", "\\|").replace("\n", " ") for cell in line] for line in lines]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    head, *rest = [_line(line, widths, str.ljust) for line in lines]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([f"## {table.title}", "", head, rule, *rest, ""])


def shown(cell: Cell) -> str:
    """Return a cell as it is read: numbers with three digits, a missing value as a dash."""
    return (cell or MISSING) if isinstance(cell, str) else format_number(cell)


def _line(cells: Sequence[str], widths: Sequence[int], pad: Callable[[str, int], str]) -> str:
    return "| " + " | ".join(pad(cell, width) for cell, width in zip(cells, widths, strict=True)) + " |"
