"""`assay train`: a chain if the config has stages, else one training."""

from dataclasses import replace

from conf.schema import TrainConfig
from launch.chain.stages import STAGE_VERBS, check_run, check_run_here
from launch.verbs import VERBS


def _run(config: TrainConfig) -> int:
    if not config.stages:
        return VERBS["train"].run(config)
    from launch.chain.run import main

    return main(config)


TRAIN_OR_CHAIN = replace(VERBS["train"], check=check_run, check_here=check_run_here, run=_run, stages=STAGE_VERBS)
