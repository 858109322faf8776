"""Ranks the members of a sweep in the terminal, in sweep.csv and in sweep.html.

`python -m launch.command.sweep FOLDER ENTRY` ranks them by another entry.
"""

import argparse
import csv
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from rich.text import Text

from launch.pages.sweep_page import columns_of, sweep_page
from launch.run.members import (
    Member,
    ranked,
    read_members,
    short_keys,
    sweep_table,
)
from rl.faults import UserError

TERMINAL_COLUMNS = 3
"""Entries of the summaries that fit beside the overrides."""


def finish_sweep(folder: Path, rank_by: str) -> int:
    """Rank the members in all three places; return 0 if every one ended well, else 1."""
    members = ranked(read_members(folder), rank_by)
    table = sweep_table(members, rank_by)
    with (folder / "sweep.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(table[0]))
        writer.writeheader()
        writer.writerows(table)
    page = folder / "sweep.html"
    page.write_text(sweep_page(folder.name, members, rank_by), encoding="utf-8", errors="replace")
    _print(Console(), members, rank_by)
    print(f"sweep: {page}")
    return int(any(member.failed for member in members))


def _print(console: Console, members: Sequence[Member], rank_by: str) -> None:
    """Print the table and the failures; brackets in overrides and sentences are no markup."""
    good = [member for member in members if not member.failed]
    columns = columns_of(good, rank_by)[:TERMINAL_COLUMNS]
    keys = short_keys(list(dict.fromkeys(key for member in members for key in member.varied)))
    table = Table(title=f"Ranked by {rank_by}", title_justify="left", box=SIMPLE, padding=(0, 1, 0, 0))
    for title in ("", *keys.values(), *(column.title for column in columns), "Folder"):
        table.add_column(title, justify="right")
    for place, member in enumerate(good, start=1):
        values = [Text(member.varied.get(key, "–")) for key in keys]
        table.add_row(str(place), *values, *(column.shown(member.entries) for column in columns), str(member.number))
    if good:
        console.print(table)
    for member in members[len(good) :]:
        console.print(Text.assemble((f"✗ {member.number} ({member.name}): {member.failed}", "red")), soft_wrap=True)


def main(argv: Sequence[str]) -> int:
    """Rank a sweep again; return the exit code."""
    parser = sweep_parser()
    options = parser.parse_args(argv)
    try:
        return finish_sweep(options.folder, options.rank_by)
    except UserError as error:
        parser.error(str(error))


def sweep_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m launch.command.sweep", description="Ranks a sweep by another entry."
    )
    parser.add_argument("folder", type=Path, help="what `assay train -m` wrote")
    parser.add_argument("rank_by", help="entry of summary.json, e.g. heldout_after.accuracy")
    return parser


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
