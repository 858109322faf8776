"""Files of the members of a sweep: what each is started with, and what became of it."""

from collections.abc import Sequence
from pathlib import Path

from launch.run.folder import write_json
from launch.run.members import OVERRIDES, SUMMARY, flattened, has_ended, read_summary, why_ended_early


def members_in(folder: Path) -> list[Path]:
    """Return the folders of the members that a sweep has begun."""
    return sorted(path.parent for path in folder.glob(f"*/{OVERRIDES}"))


def begin_member(folder: Path, overrides: Sequence[str]) -> None:
    """Write the overrides of a member into its folder; the table names it by those that differ."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / OVERRIDES, list(overrides))


def fail_member(folder: Path, sentence: str) -> None:
    """Write the reason why a member ended, unless its own summary says how it ended."""
    if not has_ended(folder):
        write_json(folder / SUMMARY, {"failed": sentence})


def member_value(folder: Path, rank_by: str) -> float | None:
    """Return the entry that a sweeper maximises; None for a member that failed or has none."""
    summary = read_summary(folder)
    return None if why_ended_early(summary) else flattened(summary).get(rank_by)
