"""conf/algo: each preset changes what its paper says, and nothing else."""

from dataclasses import fields
from typing import Any

import pytest
from omegaconf import OmegaConf

from conf.schema import TrainConfig
from launch.command.composing import CONF, open_composer
from rl.algorithm import (
    Aggregation,
    AlgoConfig,
    Baseline,
    BatchNorm,
    KlEstimator,
    Objective,
    PolicyLoss,
    Schedule,
)
from rl.preference_config import PairLoss, PreferenceConfig

RESTARTS: dict[str, Any] = {"schedule": Schedule.cosine_restarts, "warmup_share": 0.05}
PAPERS: dict[str, dict[str, Any]] = {
    "grpo": {},
    "token_mean": {"aggregation": Aggregation.token_mean},
    "dr_grpo": {"normalize_std": False, "aggregation": Aggregation.dr_grpo},
    "dapo": {"clip_high": 0.28, "aggregation": Aggregation.token_mean, "max_refills": 10},
    "gspo": {"policy_loss": PolicyLoss.gspo, "clip_low": 3e-4, "clip_high": 4e-4, "num_updates": 4},
    "cispo": {
        "policy_loss": PolicyLoss.cispo,
        "clip_low": 1.0,
        "clip_high": 4.0,
        "aggregation": Aggregation.token_mean,
    },
    "rloo": {"baseline": Baseline.leave_one_out, "normalize_std": False, "aggregation": Aggregation.dr_grpo},
    "reinforce_pp": {
        "normalize_std": False,
        "normalize_batch": BatchNorm.tokens,
        "aggregation": Aggregation.token_mean,
        "kl_estimator": KlEstimator.k2,
    },
    "gdpo": {"normalize_components": True, "normalize_batch": BatchNorm.completions},
    "sft": {"objective": Objective.sft, "lr": 1e-5, **RESTARTS},
    "dpo": {"objective": Objective.dpo, **RESTARTS},
    "ipo": {
        "objective": Objective.dpo,
        "preference": PreferenceConfig(loss=PairLoss.ipo, length_normalized=True),
        **RESTARTS,
    },
    "kto": {"objective": Objective.kto, **RESTARTS},
}


def preset(name: str) -> AlgoConfig:
    """Merge the preset's file over the defaults, without an experiment."""
    file = OmegaConf.load(CONF / "algo" / f"{name}.yaml")
    return OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(AlgoConfig), file))


@pytest.mark.parametrize("name", PAPERS)
def test_a_preset_differs_from_grpo_in_what_its_paper_says(name):
    found, plain = preset(name), AlgoConfig()
    changed = {item.name for item in fields(plain) if getattr(found, item.name) != getattr(plain, item.name)}
    assert {key: getattr(found, key) for key in changed} == PAPERS[name]


def test_every_preset_is_listed_here():
    assert {file.stem for file in (CONF / "algo").glob("*.yaml")} == set(PAPERS)


@pytest.mark.parametrize("name", PAPERS)
def test_the_demo_composes_with_every_preset(name):
    with open_composer("train", TrainConfig, []) as composer:
        algo = composer.compose([f"algo={name}", "experiment=demo"]).algo
    assert algo.num_prompts % algo.num_updates == 0
