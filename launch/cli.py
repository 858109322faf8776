"""The console command: `assay <verb> …`."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import launch.jobs.ray_launcher  # noqa: F401 - makes hydra/launcher=ray_jobs known to Hydra
from conf.schema import (
    UNREAD_BY_PAIRS,
    UNREAD_BY_PREDICT,
    DemoDataConfig,
    ExportConfig,
    PairsConfig,
    PredictConfig,
    ScoreConfig,
    TrainConfig,
)
from conf.validate import check_demo_data, check_export, check_pairs, check_predict, check_score
from launch.chain.stages import check_run, check_run_elsewhere
from launch.command.app import USAGE_FAULT, App, run_app
from launch.command.mistakes import nearest
from launch.jobs import submit


def _train(config: TrainConfig) -> int:
    if config.stages:
        from launch.chain.run import main as run_chain

        return run_chain(config)
    from launch.train.run import main

    return main(config)


def _data(config: DemoDataConfig) -> int:
    from launch.data import main

    return main(config)


def _export(config: ExportConfig) -> int:
    from launch.export import main

    return main(config)


def _score(config: ScoreConfig) -> int:
    from launch.score import main

    return main(config)


def _predict(config: PredictConfig) -> int:
    from launch.predict.run import main

    return main(config)


def _pairs(config: PairsConfig) -> int:
    from launch.pairs.run import main

    return main(config)


# A verb's module is imported when it runs: help and mistyped keys need not wait for ray, torch and vllm.
APPS = (
    App(
        verb="train",
        summary="Train a vision-language model: GRPO, SFT, DPO, KTO, or a chain of them.",
        examples=(
            "assay train experiment=demo",
            "assay train experiment=demo algo.lr=1e-5 seed=1",
            "assay train experiment=demo algo=sft num_epochs=1",
            "assay train experiment=dcr2ad_mini",
            "assay train -m experiment=demo algo.lr=1e-5,1e-4",
            "assay train -m hydra/launcher=ray_jobs experiment=demo algo.lr=1e-5,1e-4",
            "assay train experiment=demo stages.first.num_steps=50 stages.second.algo.lr=1e-5",
            "assay train experiment=mmr_ad model=qwen2_5_vl_3b data.root=photos cluster=1xh100",
        ),
        schema=TrainConfig,
        check=check_run,
        main=_train,
        check_elsewhere=check_run_elsewhere,
        ranks=True,
    ),
    App(
        verb="data",
        summary="Write the demo data: generated inspection images in MVTec-AD layout.",
        examples=("assay data", "assay data output=data/other seed=1"),
        schema=DemoDataConfig,
        check=check_demo_data,
        main=_data,
    ),
    App(
        verb="export",
        summary="Make a checkpoint a model folder of its own: adapters merged in, with a model card.",
        examples=("assay export checkpoint=runs/demo/mine output=models/mine",),
        schema=ExportConfig,
        check=check_export,
        main=_export,
    ),
    App(
        verb="score",
        summary="Score completions of a file: look into a reward before GPUs are spent on it.",
        examples=(
            "assay score reward=roam input=answers.jsonl output=scores.jsonl",
            "assay score reward=mmr_ad input=answers.jsonl explain=true",
        ),
        schema=ScoreConfig,
        check=check_score,
        main=_score,
    ),
    App(
        verb="predict",
        summary="Inspect photos: verdicts, boxes, reasons and maps of where the model looked, as one page.",
        examples=(
            "assay predict model=starter input=data/demo/leather/test reference=data/demo/leather/train/good",
            "assay predict model=qwen2_5_vl_3b input=photos reference=good.png rollout=graphs cluster=1xh100",
            "assay predict model=models/mine input=photos/1.jpg,photos/2.jpg data.task=yes_no",
        ),
        schema=PredictConfig,
        check=check_predict,
        main=_predict,
        lists=("input",),
        unread=UNREAD_BY_PREDICT,
    ),
    App(
        verb="pairs",
        summary="Write pairs of right and wrong reasoning to learn preferences from (DCR²-AD's KR-RTS).",
        examples=(
            "assay pairs pairs.margin=1",
            "assay pairs model=starter_routed pairs.num_answers=16 output=runs/pairs/mine",
            "assay pairs model=qwen2_5_vl_3b data=folder data.root=photos rollout=graphs cluster=1xh100",
        ),
        schema=PairsConfig,
        check=check_pairs,
        main=_pairs,
        unread=UNREAD_BY_PAIRS,
    ),
)


@dataclass(frozen=True, kw_only=True)
class Verb:
    """What is typed after `assay`."""

    name: str
    summary: str
    """One line for the list of verbs."""
    run: Callable[[Sequence[str]], int]
    """Takes what was typed after the verb, returns the exit code."""


VERBS = (
    *(Verb(name=app.verb, summary=app.summary, run=partial(run_app, app)) for app in APPS),
    Verb(name="submit", summary=submit.SUMMARY, run=submit.main),
)


def assay(argv: Sequence[str]) -> int:
    """Runs the verb that argv names; returns the exit code."""
    verbs = {verb.name: verb for verb in VERBS}
    name, *rest = argv or ["--help"]
    if name in ("--help", "-h", "help"):
        print("usage: assay <verb> [key=value …]\n")
        print("\n".join(f"  {verb.name:<10}{verb.summary}" for verb in VERBS))
        print("\n`assay <verb> --help` lists the keys of a verb.")
        return 0
    if name not in verbs:
        print(f"assay: {name} is not a verb; did you mean {nearest(name, list(verbs))}?", file=sys.stderr)
        return USAGE_FAULT
    return verbs[name].run(rest)


def main() -> int:
    """Entry point of the console script."""
    try:
        return assay(sys.argv[1:])
    except KeyboardInterrupt:
        print("assay: stopped", file=sys.stderr)
        return 130


if __name__ == "__main__":
    raise SystemExit(main())
