"""The members of a sweep, read from their folders and ranked."""

import json
import math
import os
import socket
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any

from launch.run.folder import REPORT, write_json
from launch.run.rows import read_rows
from rl.faults import UserError
from rl.roles import Metrics

OVERRIDES = "overrides.json"
"""File of a member's folder with the list of overrides that it was started with."""
SUMMARY = "summary.json"
RUNNING = "running"
"""Entry of the summary of a run that has not ended: since when it runs, its process and its machine."""
NO_SUMMARY = "ended without a summary: it was killed, or stopped before its first step"


@dataclass(frozen=True, kw_only=True)
class Member:
    """A run of a sweep."""

    number: int
    """Name of the folder."""
    name: str
    """Short name, made of the overrides that differ between members."""
    varied: Mapping[str, str]
    """The overrides that differ between members: value by key."""
    entries: Mapping[str, float]
    """The finite numbers of the summary by dotted path."""
    rows: Sequence[Metrics]
    """The rows of metrics.jsonl."""
    failed: str
    """Why the run ended early; "" if it ended well."""
    report: bool
    """True if the run wrote a report.html."""


def read_members(folder: Path) -> list[Member]:
    """Read the members that wrote into <folder>/<number>, by number."""
    folders = sorted((path for path in folder.glob("*/") if path.name.isdecimal()), key=lambda path: int(path.name))
    if not folders:
        raise UserError(f"{folder} holds no member of a sweep; give the folder that `assay train -m` wrote")
    varied = varied_overrides([_json(path / OVERRIDES, []) for path in folders])
    short = short_keys({key for values in varied for key in values})
    return [
        _read_member(path, values, " ".join(f"{short[key]}={value}" for key, value in values.items()))
        for path, values in zip(folders, varied, strict=True)
    ]


def begin_summary(folder: Path) -> None:
    """Write the summary of a run that begins; one that is killed leaves it behind."""
    since = datetime.now().astimezone().isoformat(timespec="seconds")
    write_json(folder / SUMMARY, {RUNNING: {"since": since, "pid": os.getpid(), "host": socket.gethostname()}})


def has_ended(folder: Path) -> bool:
    """Return True if the folder has a summary that says how its run ended."""
    return RUNNING not in _summary(folder, {RUNNING: {}})


def read_summary(folder: Path) -> dict[str, Any]:
    """Read the summary of a member's run; a run that left none, or one that says that it runs, has failed."""
    summary = _summary(folder, {"failed": NO_SUMMARY})
    if RUNNING not in summary:
        return summary
    began = summary[RUNNING]
    sentence = f"was killed or still runs: it began {began['since']} as process {began['pid']} on {began['host']}"
    return {"failed": f"{sentence} and has not said how it ended"}


def varied_overrides(overrides: Sequence[Sequence[str]]) -> list[dict[str, str]]:
    """Return each member's overrides that differ between members; of several for one key the last counts.

    >>> varied_overrides([["seed=0", "algo.lr=1e-4"], ["seed=0", "algo.lr=0.00005031416"]])
    [{'algo.lr': '1e-4'}, {'algo.lr': '5.031e-05'}]
    """
    split = [{key: _short(value) for key, _, value in (text.partition("=") for text in typed)} for typed in overrides]
    keys = dict.fromkeys(key for values in split for key in values)
    differing = [key for key in keys if len({values.get(key) for values in split}) > 1]
    return [{key: values[key] for key in differing if key in values} for values in split]


def short_keys(keys: Collection[str]) -> dict[str, str]:
    """Return the ends of dotted keys that are enough to tell the keys apart.

    >>> short_keys(["algo.lr", "reward.box.weight", "reward.format.weight"])
    {'algo.lr': 'lr', 'reward.box.weight': 'box.weight', 'reward.format.weight': 'format.weight'}
    """

    def end(key: str, parts: int) -> str:
        return ".".join(key.split(".")[-parts:])

    def alone(key: str, parts: int) -> bool:
        return sum(end(other, parts) == end(key, parts) for other in keys) == 1

    return {key: next(end(key, parts) for parts in count(1) if alone(key, parts)) for key in keys}


def ranked(members: Sequence[Member], rank_by: str) -> list[Member]:
    """Sort the members: the best first, then those that ended well without this entry, then the failed ones."""
    good = [member for member in members if not member.failed]
    if good and not any(rank_by in member.entries for member in good):
        there_are = sorted({entry for member in good for entry in member.entries})
        named = ", ".join(there_are) or "no numbers"
        raise UserError(f"{rank_by}, which should rank the sweep, is in no member's {SUMMARY}; there are {named}")
    return sorted(members, key=lambda member: (bool(member.failed), -member.entries.get(rank_by, -math.inf)))


def flattened(summary: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """Return the finite numbers of a nested summary by dotted path.

    >>> flattened({"output": "runs/1", "steps": 2, "heldout_after": {"accuracy": 0.5}})
    {'steps': 2, 'heldout_after.accuracy': 0.5}
    """
    found: dict[str, float] = {}
    for name, value in summary.items():
        if isinstance(value, Mapping):
            found |= flattened(value, f"{prefix}{name}.")
        elif isinstance(value, int | float) and math.isfinite(value):
            found[f"{prefix}{name}"] = value
    return found


def why_ended_early(summary: Mapping[str, Any]) -> str:
    """Return the sentence of a run that failed or was stopped; "" for one that came to its end."""
    return summary.get("failed") or summary.get("stopped", "")


def sweep_table(members: Sequence[Member], rank_by: str) -> list[dict[str, Any]]:
    """Return the rows of a CSV file: a member's place, overrides, all numbers of its summary, and why it failed."""
    keys = dict.fromkeys(key for member in members for key in member.varied)
    entries = dict.fromkeys([rank_by, *(entry for member in members for entry in member.entries)])
    return [
        {"place": "" if member.failed else place, "member": member.number}
        | {key: member.varied.get(key, "") for key in keys}
        | {entry: member.entries.get(entry, "") for entry in entries}
        | {"failed": member.failed}
        for place, member in enumerate(members, start=1)
    ]


def _read_member(folder: Path, varied: Mapping[str, str], name: str) -> Member:
    summary = read_summary(folder)
    return Member(
        number=int(folder.name),
        name=name or f"run {folder.name}",
        varied=varied,
        entries=flattened(summary),
        rows=read_rows(folder).rows,
        failed=why_ended_early(summary),
        report=(folder / REPORT).exists(),
    )


def _summary(folder: Path, absent: dict[str, Any]) -> dict[str, Any]:
    told = _json(folder / SUMMARY, absent)
    return told if isinstance(told, dict) else absent


def _json(path: Path, absent: Any) -> Any:
    """Read a JSON file; return `absent` if it was never written or not to its end."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return absent


def _short(value: str) -> str:
    """Shorten a number that a sweeper drew to four digits; return other values as they are."""
    try:
        number = float(value)
    except ValueError:
        return value
    return value if len(value) <= 6 else f"{number:.4g}"
