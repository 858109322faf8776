"""The console command: `assay <verb> …`."""

import sys
from collections.abc import Sequence

from conf.schema import DemoDataConfig, TrainConfig
from conf.validate import check_demo_data, check_train
from launch.app import USAGE_FAULT, App, run_app
from launch.mistakes import nearest


def _train(config: TrainConfig) -> int:
    from launch.train import main

    return main(config)


def _data(config: DemoDataConfig) -> int:
    from launch.data import main

    return main(config)


# A verb's module is imported when it runs: help and mistyped keys need not wait for ray, torch and vllm.
APPS = (
    App(
        verb="train",
        summary="Train a vision-language model with GRPO.",
        examples=(
            "assay train experiment=demo",
            "assay train experiment=demo algo.lr=1e-5 seed=1",
            "assay train -m experiment=demo algo.lr=1e-5,1e-4",
            "assay train model=qwen2_5_vl_3b data=folder data.root=photos cluster=1xh100",
        ),
        schema=TrainConfig,
        check=check_train,
        main=_train,
    ),
    App(
        verb="data",
        summary="Write the demo data: generated inspection images in MVTec-AD layout.",
        examples=("assay data", "assay data output=data/other seed=1"),
        schema=DemoDataConfig,
        check=check_demo_data,
        main=_data,
    ),
)


def assay(argv: Sequence[str]) -> int:
    """Runs the verb that argv names; returns the exit code."""
    apps = {app.verb: app for app in APPS}
    verb, *rest = argv or ["--help"]
    if verb in ("--help", "-h", "help"):
        print("usage: assay <verb> [key=value …]\n")
        print("\n".join(f"  {app.verb:<10}{app.summary}" for app in APPS))
        print("\n`assay <verb> --help` lists the keys of a verb.")
        return 0
    if verb not in apps:
        print(f"assay: {verb} is not a verb; did you mean {nearest(verb, list(apps))}?", file=sys.stderr)
        return USAGE_FAULT
    return run_app(apps[verb], rest)


def main() -> int:
    """Entry point of the console script."""
    try:
        return assay(sys.argv[1:])
    except KeyboardInterrupt:
        print("assay: stopped", file=sys.stderr)
        return 130


if __name__ == "__main__":
    raise SystemExit(main())
