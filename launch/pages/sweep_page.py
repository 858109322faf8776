"""sweep.html: a ranking of a sweep's members and their curves in common charts, one page that needs no other file."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from html import escape
from statistics import median

from launch.pages.charts import draw, format_number
from launch.pages.overlays import NAMED, color_of, overlay
from launch.pages.theme import MARK, document
from launch.run.folder import REPORT
from launch.run.members import Member
from rl.metrics import HELD_OUT


@dataclass(frozen=True, kw_only=True)
class Column:
    """An entry of the summaries, shown as a column of the table."""

    entry: str
    title: str
    before: str = ""
    """Entry with the value at the start of the run; "" if there is none."""
    show: Callable[[float], str] = "{:.3f}".format

    def shown(self, entries: Mapping[str, float]) -> str:
        """Format the value; a missing one is a dash."""
        value = entries.get(self.entry)
        return "–" if value is None else self.show(value)

    def cell(self, entries: Mapping[str, float]) -> str:
        """Return a table cell with the value and, if known, the value at the start of the run."""
        before = entries.get(self.before)
        earlier = "" if before is None else f"<small>{self.show(before)}</small>"
        return f"<td><b>{self.shown(entries)}</b>{earlier}</td>"


COLUMNS = (
    Column(entry="reward_last", title="Reward", before="reward_first"),
    Column(entry="heldout_after.accuracy", title="Held-out accuracy", before="heldout_before.accuracy"),
    Column(entry="heldout_after.mean_iou", title="Held-out mean IoU", before="heldout_before.mean_iou"),
    Column(entry="steps", title="Steps", show=format_number),
    Column(entry="seconds", title="Duration", show=lambda seconds: str(timedelta(seconds=round(seconds)))),
)
OVERLAYS = (
    ("Reward", "reward/mean", "Mean total over the completions of a step."),
    ("Held-out accuracy", f"{HELD_OUT}/accuracy", "Greedy answers to samples that training never saw."),
    ("Held-out mean IoU", f"{HELD_OUT}/mean_iou", "Overlap with the true boxes of the defective samples."),
    ("Entropy", "actor/entropy", "Entropy of the policy's next-token distribution, in nats."),
    ("Response length", "response/length/mean", "Mean number of tokens of a completion."),
    ("Gradient norm", "actor/grad_norm", "Norm of the gradient before clipping."),
)
"""Title, metric and caption of each chart; the first chart is large."""


def sweep_page(title: str, members: Sequence[Member], rank_by: str) -> str:
    """Return the page; `members` are ranked, best first."""
    main = _tiles(members, rank_by) + _table(members, rank_by) + _curves(members)
    return document(f"Sweep {title}", f"{_header(title, members, rank_by)}<main>{main}</main>")


def columns_of(members: Sequence[Member], rank_by: str) -> list[Column]:
    """Choose the columns: `rank_by` first, then each of COLUMNS that some member has."""
    first = next((column for column in COLUMNS if column.entry == rank_by), Column(entry=rank_by, title=rank_by))
    present = {entry for member in members for entry in member.entries}
    return [first, *(column for column in COLUMNS if column is not first and column.entry in present)]


def _header(title: str, members: Sequence[Member], rank_by: str) -> str:
    failed = sum(bool(member.failed) for member in members)
    status = f'<span class="status bad">{failed} failed</span>' if failed else '<span class="status">finished</span>'
    note = f"{len(members)} runs, ranked by <code>{escape(rank_by)}</code>; higher is better."
    return (
        f'<header class="mast"><div class="mark">{MARK}Assay sweep {status}</div>'
        f"<h1>{escape(title)}</h1><p>{note}</p></header>"
    )


def _tiles(members: Sequence[Member], rank_by: str) -> str:
    placed = [member for member in members if not member.failed and rank_by in member.entries]
    if not placed:
        return ""
    column, values = columns_of(members, rank_by)[0], [member.entries[rank_by] for member in placed]
    notes = {
        "Best": (values[0], placed[0].name),
        "Median": (median(values), f"of the {len(values)} that finished"),
        "Worst": (values[-1], placed[-1].name),
    }
    tiles = "".join(
        f'<div class="card tile"><h3>{name} {escape(column.title[0].lower() + column.title[1:])}</h3>'
        f'<div class="value"><b>{column.show(value)}</b></div><p>{escape(note)}</p></div>'
        for name, (value, note) in notes.items()
    )
    return f'<div class="tiles">{tiles}</div>'


def _table(members: Sequence[Member], rank_by: str) -> str:
    columns = columns_of(members, rank_by)
    titles = ("", "Run", *(column.title for column in columns), "Report")
    heads = "".join(f"<th>{escape(title)}</th>" for title in titles)
    rows = "".join(_row(place, member, columns) for place, member in enumerate(members))
    return (
        "<section><header><h2>Ranking</h2><p>Grey numbers are the values at the start of the run.</p></header>"
        f'<div class="card scroll"><table class="ranking"><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>'
        "</div></section>"
    )


def _row(place: int, member: Member, columns: Sequence[Column]) -> str:
    chips = "".join(
        f'<span class="chip">{escape(key)}=<b>{escape(value)}</b></span>' for key, value in member.varied.items()
    )
    named = f'<th><i class="dot s{color_of(place)}"></i>{chips or escape(member.name)}</th>'
    report = f'<a href="{member.number}/{REPORT}">{member.number}</a>' if member.report else str(member.number)
    if member.failed:
        reason = f'<td colspan="{len(columns)}" class="reason">{escape(member.failed)}</td>'
        return f'<tr class="failed"><td class="count">✗</td>{named}{reason}<td class="count">{report}</td></tr>'
    cells = "".join(column.cell(member.entries) for column in columns)
    won = ' class="won"' if place == 0 else ""
    return f'<tr{won}><td class="count">{place + 1}</td>{named}{cells}<td class="count">{report}</td></tr>'


def _curves(members: Sequence[Member]) -> str:
    runs = [(member.name, member.rows) for member in members]
    charts = "".join(draw(overlay(runs, *told, wide=told is OVERLAYS[0])) for told in OVERLAYS)
    body = f'<div class="charts overlaid">{charts}</div>' if charts else "<p>No training step was recorded.</p>"
    others = f"The best {NAMED} have a colour; the others are grey. " if len(members) > NAMED else ""
    return f"<section><header><h2>Curves</h2><p>{others}Point at a chart for the values.</p></header>{body}</section>"
