"""A run in numbers and as a page: summary.json and report.html."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import fmean
from typing import Any

from actors.peers import counted
from conf.schema import TrainConfig
from launch.pages.provenance import Provenance
from launch.pages.report import RunRecord, write_report
from launch.run.invocation import Invocation
from launch.run.tracking import RunTracker
from launch.train.devices import Devices
from rewards.answers.parse import parse_answer
from rewards.compose import component_range, reward_range
from rewards.config import RewardConfig, is_computed, weights
from rl.alarms import Range
from rl.algorithm import AlgoConfig
from rl.metrics import HELD_OUT, reward_edges
from rl.recipe import RECIPES
from rl.roles import Metrics

DIGITS = 6
OF_STEPS = {
    "samples_per_s": "perf/samples_per_s",
    "parity_mean": "parity/logprob_abs_mean",
    "overhead": "perf/overhead",
}
"""Keys of the summary, each the mean of a metric over the steps."""
TOLD = ("accuracy", "mean_iou", "knowledge", "reward", "samples")
TOLD_OF_LOOKS = ("agreement_", "pixel_")
"""Metrics of an evaluation that the summary repeats: their names, and prefixes of names."""


@dataclass(frozen=True, kw_only=True)
class Setup:
    """Facts about a run that its report tells beside its numbers."""

    num_samples: tuple[int, int]
    """Numbers of training and held-out samples."""
    by: Invocation
    provenance: Provenance
    devices: Devices


def summarize(config: TrainConfig, tracker: RunTracker, seconds: float) -> dict[str, Any]:
    """Return the content of summary.json; what was not measured has no key."""
    steps = [row for row in tracker.rows if "time/step" in row]
    first, last = reward_edges(steps)
    summary: dict[str, Any] = {
        "output": config.output,
        "steps": len(steps),
        "seconds": round(seconds, 1),
        "reward_range": reward_range(config.reward),
        "warnings": tracker.warnings,
    }
    ends = {"reward_first": first, "reward_last": last}
    summary |= {name: _mean(rewards) for name, rewards in ends.items() if rewards}
    for told, name in OF_STEPS.items():
        values = [row[name] for row in steps if name in row]
        summary |= {told: _mean(values)} if values else {}
    for evaluation in tracker.evaluations:
        name = "heldout_after" if evaluation.step else "heldout_before"
        row = next(row for row in reversed(tracker.rows) if _tells(row, evaluation.step))
        metrics = {key.removeprefix(f"{HELD_OUT}/"): value for key, value in row.items() if key.startswith(HELD_OUT)}
        chosen = [key for key in metrics if key in TOLD or key.startswith(TOLD_OF_LOOKS)]
        summary[name] = {key: _short(metrics[key]) for key in chosen}
    return summary


def _tells(row: Metrics, step: int) -> bool:
    """Return True if this is the row of the evaluation after `step`."""
    return row["step"] == step and f"{HELD_OUT}/samples" in row


def counted_ranges(config: RewardConfig) -> dict[str, Range | None]:
    """Return the lowest and highest value of each component with a weight; None for a function of the user's."""
    return {name: component_range(name) for name, weight in weights(config).items() if weight != 0}


def write_run_report(
    config: TrainConfig, tracker: RunTracker, summary: dict[str, Any], setup: Setup, *, is_running: bool = False
) -> None:
    """Write report.html; `summary` says if the run failed or was stopped."""
    consistency, by = config.reward.consistency, setup.by
    record = RunRecord(
        title=by.experiment if by.title else Path(config.output).name,
        overrides=by.overrides,
        stage=by.stage,
        running=_how_far(tracker, config.num_steps) if is_running else "",
        facts=_facts(config, setup),
        rows=tracker.rows,
        evaluations=tracker.evaluations,
        summary=summary,
        reward_range=reward_range(config.reward),
        failed=summary.get("failed", ""),
        stopped=summary.get("stopped", ""),
        warnings=tracker.warnings,
        deltas=(consistency.delta_high, consistency.delta_low) if is_computed(consistency) else None,
        resize=config.localize.resize.value,
        provenance=setup.provenance,
    )
    write_report(Path(config.output), record, parse_answer)


def _how_far(tracker: RunTracker, num_steps: int) -> str:
    now = datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z")
    return f"At step {tracker.last_step} of {num_steps} on {now}; the next evaluation writes this page anew."


def _facts(config: TrainConfig, setup: Setup) -> dict[str, str]:
    num_training, num_heldout = setup.num_samples
    algo, lora = config.algo, config.model.lora
    hardware = setup.devices.in_words()
    return {
        "Model": config.model.path,
        "Data": f"{config.data.root}: {num_training} training and {num_heldout} held-out samples",
        "Batch": _batch(algo),
        "Learning": f"{_objective(algo)}, rate {algo.lr:g}, "
        + (f"LoRA of rank {lora.rank}" if lora.rank else "full weights"),
        "Seed": str(config.seed),
        **({"Hardware": hardware} if hardware else {}),
    }


def _batch(algo: AlgoConfig) -> str:
    teaches = RECIPES[algo.objective].teaches
    each = " and what is taught" if teaches else f" × {algo.num_completions} completions"
    return f"{algo.num_prompts} prompts{each}, {counted(algo.num_updates, 'update')}"


def _objective(algo: AlgoConfig) -> str:
    return f"{algo.objective.value.upper()}, {RECIPES[algo.objective].options(algo)}"


def _mean(values: list[float]) -> float:
    return _short(fmean(values))


def _short(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
