"""The runs that are compared, read from their folders as far as they have come."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite, nan
from pathlib import Path
from statistics import fmean
from typing import Any

from launch.run.answers import answers_file, asked_ids
from launch.run.folder import CHAIN, CONFIG, METRICS
from launch.run.members import OVERRIDES, flattened, has_ended, read_summary, short_keys, why_ended_early
from launch.run.rows import read_rows
from rl.documents import read_yaml
from rl.faults import UserError
from rl.metrics import HELD_OUT, reward_edges
from rl.roles import Metrics

NOT_COMPARED = {"output", "resume", "logging", "cluster.reference_cache"}
"""Keys and sections of a config that say only where a run is recorded."""
NAMED_BY = 2
"""Most values that follow the folder in the name of a run."""


@dataclass(frozen=True, kw_only=True)
class ComparedRun:
    """A run of `assay train`, whether it has ended or not."""

    folder: Path
    name: str
    """The end of the folder's path that no other run shares, then the values by which few keys differ."""
    values: Mapping[str, str]
    """The config by dotted key; empty for a run that failed before it wrote its config."""
    state: str
    """finished, unfinished, or why the run ended early."""
    entries: Mapping[str, float]
    """The numbers of summary.json by dotted path; of an unfinished run, those that its metrics tell."""
    rows: Sequence[Metrics]
    """The rows of metrics.jsonl."""
    heldout: frozenset[str]
    """Ids of the samples that its latest evaluation with kept answers asked about; empty if it kept no answers."""

    @property
    def is_evaluated(self) -> bool:
        return any(f"{HELD_OUT}/samples" in row for row in self.rows)


def read_runs(paths: Sequence[str]) -> list[ComparedRun]:
    """Read two runs or more; the folder of a sweep stands for its members."""
    named = [folder for path in paths for folder in _folders(Path(path))]
    folders = [folder for place, folder in enumerate(named) if folder.resolve() not in map(Path.resolve, named[:place])]
    if len(folders) < 2:
        raise UserError(f"{folders[0]} is a single run; name another one to compare it with")
    names = names_of(folders)
    runs = [_read(folder, name) for folder, name in zip(folders, names, strict=True)]
    differing = differences(runs)
    if not 0 < len(differing) <= NAMED_BY:
        return runs
    short = short_keys(list(differing))
    told = [[f"{short[key]}={run.values[key]}" for key in differing if key in run.values] for run in runs]
    return [replace(run, name=" ".join([run.name, *values])) for run, values in zip(runs, told, strict=True)]


def names_of(folders: Sequence[Path]) -> list[str]:
    """Return for each folder the shortest end of its path that no other one has; a number alone is no name.

    >>> names_of([Path("runs/demo/a"), Path("runs/mine/a"), Path("runs/swept/0"), Path("runs/other")])
    ['demo/a', 'mine/a', 'swept/0', 'other']
    """
    parts = [folder.resolve().parts for folder in folders]
    ends = [[own[-size:] for size in range(1, len(own) + 1)] for own in parts]
    return ["/".join(next(end for end in own if not _is_number(end) and _is_alone(end, parts))) for own in ends]


def differences(runs: Iterable[ComparedRun]) -> dict[str, list[str]]:
    """Return the keys whose values differ between runs, each with the value of every run; "" if a run lacks it."""
    runs = list(runs)
    keys = dict.fromkeys(key for run in runs for key in run.values if not {key, key.split(".")[0]} & NOT_COMPARED)
    known = [run for run in runs if run.values]
    differing = [key for key in keys if len({run.values.get(key, "") for run in known}) > 1]
    return {key: [run.values.get(key, "") for run in runs] for key in differing}


def _is_number(end: Sequence[str]) -> bool:
    return len(end) == 1 and end[0].isdecimal()


def _is_alone(end: Sequence[str], parts: Iterable[Sequence[str]]) -> bool:
    return sum(other[-len(end) :] == end for other in parts) == 1


def _folders(path: Path) -> list[Path]:
    """Return the folder of a run, or those of a sweep's members by number."""
    if not path.is_dir():
        raise UserError(f"{path}: there is no such folder; name the folders of runs, e.g. runs/mine")
    members = [mark.parent for mark in path.glob(f"*/{OVERRIDES}") if mark.parent.name.isdecimal()]
    if members:
        return sorted(members, key=lambda member: int(member.name))
    if (path / CHAIN).exists():
        raise UserError(f"{path} holds a chain; name the folders of its stages, e.g. {_trainings(path)}")
    if not (path / CONFIG).exists() or not (path / METRICS).exists():
        raise UserError(f"{path} holds no run of `assay train`: it has no {METRICS}; name the folder of a run")
    return [path]


def _heldout_ids(folder: Path, rows: Sequence[Metrics]) -> frozenset[str]:
    """Return the ids of the latest evaluation that has a row; answers without a row may be incomplete."""
    steps = [int(row["step"]) for row in rows if f"{HELD_OUT}/samples" in row]
    kept = [file for file in (answers_file(folder, "heldout", step) for step in steps) if file.exists()]
    return asked_ids(kept[-1]) if kept else frozenset()


def _trainings(chain: Path) -> str:
    return ", ".join(map(str, sorted(metrics.parent for metrics in chain.glob(f"*/{METRICS}")))) or f"{chain}/1_…"


def _read(folder: Path, name: str) -> ComparedRun:
    config, rows = folder / CONFIG, read_rows(folder).rows
    is_over = has_ended(folder)
    summary = read_summary(folder) if is_over else so_far(rows)
    return ComparedRun(
        folder=folder,
        name=name,
        values=_flat(read_yaml(config)) if config.exists() else {},
        state=(why_ended_early(summary) or "finished") if is_over else "unfinished",
        entries=flattened(summary),
        rows=rows,
        heldout=_heldout_ids(folder, rows),
    )


def so_far(rows: Sequence[Metrics]) -> dict[str, Any]:
    """Return what the summary of a run would say by its rows alone."""
    first, last = reward_edges([row for row in rows if isfinite(row.get("reward/mean", nan))])
    evaluations = [row for row in rows if f"{HELD_OUT}/samples" in row]
    edges = {"reward_first": first, "reward_last": last}
    return {
        "steps": sum("time/step" in row for row in rows),
        "seconds": rows[-1]["time_s"] if rows else 0.0,
        **{name: fmean(rewards) for name, rewards in edges.items() if rewards},
        **{
            "heldout_after" if row["step"] else "heldout_before": _held_out(row)
            for row in [*evaluations[:1], *evaluations[-1:]]
        },
    }


def _held_out(row: Metrics) -> dict[str, float]:
    start = f"{HELD_OUT}/"
    return {name.removeprefix(start): value for name, value in row.items() if name.startswith(start)}


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Return the values of a config by dotted key, as one types them."""
    flat: dict[str, str] = {}
    for name, value in values.items():
        path = f"{prefix}{name}"
        flat |= _flat(value, f"{path}.") if isinstance(value, Mapping) else {path: _typed(value)}
    return flat


def _typed(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
