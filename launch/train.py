"""`assay train`: reads the data, starts the actors, runs the loop, saves, reports."""

import asyncio
import json
import time
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path
from statistics import fmean
from typing import Any

import ray

from actors.crew import CrewConfig, start_crew
from actors.spawn import start_ray
from conf.schema import TrainConfig
from launch.composing import dump_config
from launch.tracking import RunTracker
from rewards.compose import reward_range
from rewards.parse import parse_answer
from rl.data.prompts import PromptBuilder, check_prompts
from rl.data.readers import read_mvtec, split_heldout
from rl.data.stream import SampleStream
from rl.evaluation.metrics import evaluation_metrics
from rl.evaluation.report import RunRecord, write_report
from rl.loop import Exam, Team, train
from rl.timing import Timings
from rl.types import Sample

ENDS = 10
"""Steps at each end of a run whose mean reward the summary compares."""


@dataclass(frozen=True, kw_only=True)
class Data:
    """What a run learns from and what it is judged on."""

    training: list[Sample]
    heldout: list[Sample]


def main(config: TrainConfig) -> int:
    """One run from data to report; its last printed line is the summary."""
    started = time.perf_counter()
    folder = Path(config.output)
    data = read_data(config)
    timings = Timings()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(dump_config(config))
    tracker = RunTracker(folder, config.logging, plain(config), config.num_steps, timings)
    summary: dict[str, Any] = {"output": str(folder)}
    sentence = "stopped before the end"
    try:
        asyncio.run(_run(config, data, tracker, timings))
        sentence = ""
    except Exception as error:
        sentence = " ".join(str(error).split())
        raise
    finally:
        ray.shutdown()
        summary |= summarize(config, tracker, time.perf_counter() - started)
        (folder / "summary.json").write_text(json.dumps(summary, indent=1))
        _report(config, data, tracker, summary, sentence)
        tracker.finish(summary, failed=bool(sentence))
    print(json.dumps(summary))
    return 0


def read_data(config: TrainConfig) -> Data:
    """Every file has been opened once; a bad one is named before an actor starts."""
    training, heldout = split_heldout(read_mvtec(config.data), config.data.heldout_share, config.seed)
    check_prompts(training + heldout, PromptBuilder(config.model.path, config.data), config.rollout.max_prompt_tokens)
    order = SampleStream(heldout, config.seed)
    return Data(training=training, heldout=order.take(min(config.data.num_heldout or len(heldout), len(heldout))))


async def _run(config: TrainConfig, data: Data, tracker: RunTracker, timings: Timings) -> None:
    sections = CrewConfig(
        model=config.model,
        data=config.data,
        algo=config.algo,
        rollout=config.rollout,
        reward=config.reward,
        cluster=config.cluster,
        num_steps=config.num_steps,
        seed=config.seed,
    )
    start_ray(config.cluster, with_reference=sections.with_reference)
    crew = await start_crew(sections, timings)
    team = Team(sampler=crew.sampler, judge=crew.judge, policy=crew.policy, reference=crew.reference, tracker=tracker)
    stream = SampleStream(data.training, config.seed)
    await train(config.algo, team, stream, Exam(samples=data.heldout, every=config.eval_every), config.num_steps)
    await team.policy.save(Path(config.output) / "checkpoints" / f"step_{config.num_steps}" / "hf")


def summarize(config: TrainConfig, tracker: RunTracker, seconds: float) -> dict[str, Any]:
    """The run in numbers; those that were never measured are left out."""
    steps = [row for row in tracker.rows if "time/step" in row]
    rewards = [row["reward/mean"] for row in steps if "reward/mean" in row]
    summary: dict[str, Any] = {
        "steps": len(steps),
        "seconds": round(seconds, 1),
        "reward_range": reward_range(config.reward),
    }
    if steps:
        summary |= {
            "reward_first": fmean(rewards[:ENDS]),
            "reward_last": fmean(rewards[-ENDS:]),
            "samples_per_s": fmean(row["perf/samples_per_s"] for row in steps),
            "parity_mean": fmean(row["parity/logprob_abs_mean"] for row in steps),
            "overhead": fmean(row["perf/overhead"] for row in steps),
        }
    for name, evaluation in zip(("heldout_before", "heldout_after"), _ends(tracker), strict=False):
        metrics = evaluation_metrics(evaluation)
        summary[name] = {key: metrics[key] for key in ("accuracy", "mean_iou", "samples") if key in metrics}
    return summary


def _ends(tracker: RunTracker) -> list[Any]:
    """The groups of the first and the last evaluation."""
    passes = [evaluation.groups for evaluation in tracker.evaluations]
    return [passes[0], passes[-1]] if len(passes) > 1 else passes


def _report(config: TrainConfig, data: Data, tracker: RunTracker, summary: dict[str, Any], failed: str) -> None:
    before, after = (_ends(tracker) + [(), ()])[:2]
    facts = {
        "Model": config.model.path,
        "Data": f"{config.data.root}: {len(data.training)} training and {len(data.heldout)} held-out samples",
        "Batch": f"{config.algo.num_prompts} prompts × {config.algo.num_completions} completions",
        "Seed": str(config.seed),
    }
    record = RunRecord(
        title=Path(config.output).name,
        facts=facts,
        rows=tracker.rows,
        before=before,
        after=after,
        summary=summary,
        reward_range=reward_range(config.reward),
        failed=failed,
    )
    write_report(Path(config.output), record, parse_answer)


def plain(config: Any) -> dict[str, Any]:
    """The config as nested dicts of plain values."""
    return asdict(config, dict_factory=lambda items: {k: v.value if isinstance(v, Enum) else v for k, v in items})


if __name__ == "__main__":
    import sys

    from launch.cli import assay

    raise SystemExit(assay(["train", *sys.argv[1:]]))
