"""The table of verbs. `assay submit` is not in it: it has no config of its own and sends `train` to a Ray cluster."""

from collections.abc import Mapping

from conf.schema import (
    UNREAD_BY_PAIRS,
    UNREAD_BY_PREDICT,
    CompareConfig,
    DemoDataConfig,
    ExportConfig,
    PairsConfig,
    PredictConfig,
    ScoreConfig,
    TrainConfig,
)
from conf.validate import (
    check_compare,
    check_demo_data,
    check_elsewhere,
    check_here,
    check_pairs_elsewhere,
    check_pairs_here,
    check_predict,
    check_score,
)
from launch.command.verb import Verb


# A verb's module is imported when it runs: help and mistyped keys need not wait for ray, torch and vllm.
def _train(config: TrainConfig) -> int:
    from launch.train.begin import main

    return main(config)


def _data(config: DemoDataConfig) -> int:
    from launch.demo.data import main

    return main(config)


def _export(config: ExportConfig) -> int:
    from launch.export.run import main

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


def _compare(config: CompareConfig) -> int:
    from launch.compare.run import main

    return main(config)


VERBS: Mapping[str, Verb] = {
    # launch/__main__.py runs TRAIN_OR_CHAIN (launch/chain/verb.py) in its place, so that `stages` make a chain.
    "train": Verb(
        name="train",
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
        is_long=True,
        check=check_elsewhere,
        check_here=check_here,
        run=_train,
        is_stage=True,
        trains=True,
    ),
    "data": Verb(
        name="data",
        summary="Write the demo data: generated inspection images in MVTec-AD layout.",
        examples=("assay data", "assay data output=data/other seed=1"),
        schema=DemoDataConfig,
        check=check_demo_data,
        run=_data,
    ),
    "export": Verb(
        name="export",
        summary="Make a checkpoint a model folder of its own: adapters merged in, with a model card.",
        examples=("assay export checkpoint=runs/demo/mine output=models/mine",),
        schema=ExportConfig,
        is_swept=False,
        required={"checkpoint": "checkpoint=RUN", "output": "output=FOLDER"},
        run=_export,
    ),
    "score": Verb(
        name="score",
        summary="Score completions of a file: look into a reward before GPUs are spent on it.",
        examples=(
            "assay score reward=roam input=answers.jsonl output=scores.jsonl",
            "assay score reward=roam input=answers.jsonl explain=true",
        ),
        schema=ScoreConfig,
        is_swept=False,
        required={"input": "input=FILE"},
        check=check_score,
        run=_score,
    ),
    "predict": Verb(
        name="predict",
        summary="Inspect photos: verdicts, boxes, reasons and maps of where the model looked, as one page.",
        examples=(
            "assay predict model=starter input=data/demo/leather/test reference=data/demo/leather/train/good",
            "assay predict model=qwen2_5_vl_3b input=photos reference=good.png rollout=graphs cluster=1xh100",
            "assay predict model=models/mine input=photos/1.jpg,photos/2.jpg data.task=yes_no",
        ),
        schema=PredictConfig,
        required={"model.path": "model=MODEL", "input": "input=FOLDER"},
        check=check_predict,
        run=_predict,
        lists=("input",),
        unread=UNREAD_BY_PREDICT,
    ),
    "pairs": Verb(
        name="pairs",
        summary="Write pairs of right and wrong reasoning to learn preferences from (DCR²-AD's KR-RTS).",
        examples=(
            "assay pairs pairs.margin=1",
            "assay pairs model=starter_routed pairs.num_answers=16 output=runs/pairs/mine",
            "assay pairs model=qwen2_5_vl_3b data=folder data.root=photos rollout=graphs cluster=1xh100",
        ),
        schema=PairsConfig,
        is_long=True,
        check=check_pairs_elsewhere,
        check_here=check_pairs_here,
        run=_pairs,
        unread=UNREAD_BY_PAIRS,
        is_stage=True,
    ),
    "compare": Verb(
        name="compare",
        summary="Compare runs: their results and configs side by side, their curves in common charts.",
        examples=(
            "assay compare runs/demo/first runs/demo/second",
            "assay compare runs/demo/first runs/demo/sweep output=runs/compared",
        ),
        schema=CompareConfig,
        is_swept=False,
        check=check_compare,
        run=_compare,
        unnamed="runs",
    ),
}
