"""Recipes: the papers' numbers, and the same algorithm in miniature."""

from functools import cache
from typing import Any

import pytest

from conf.schema import TrainConfig
from conf.validate import check_elsewhere
from launch.chain.stages import check_run, stages_of
from launch.command.composing import open_composer
from rewards.config import weights
from rewards.presets import preset
from rl.algorithm import Aggregation, KlEstimator, Objective, Schedule
from rl.data.config import Choice
from rl.data.pairs.config import PairTeacherKind
from rl.data.questions import QUESTIONS
from rl.preference_config import LossSpan, PairLoss
from rl.types import Task
from rollout.config import Cut, TeacherKind

REWARDS = {"mmr_ad": "mmr_ad", "anomalyr1": "roam", "judo": "judo", "cgro": "cgro"}


@cache
def recipe(name: str, *overrides: str) -> TrainConfig:
    with open_composer("train", TrainConfig, []) as composer:
        config = composer.compose([f"experiment={name}", *overrides])
    assert isinstance(config, TrainConfig)
    return config


def test_anomalyr1_has_the_numbers_of_the_paper():
    config = recipe("anomalyr1")
    algo = config.algo
    assert (config.num_steps, algo.num_prompts, algo.num_completions) == (1000, 8, 8)
    assert (algo.aggregation, algo.kl_estimator) == (Aggregation.sequence_mean, KlEstimator.k3) and algo.kl_weight > 0
    assert config.data.max_pixels == 1000 * 800 and config.data.task is Task.choice
    assert config.model.path.endswith("3B-Instruct")


def test_judo_has_the_numbers_of_the_paper():
    config = recipe("judo")
    assert (config.algo.num_prompts, config.algo.num_completions) == (8, 16)
    assert config.num_steps == 14 * 1400 / 8
    assert weights(config.reward) == dict.fromkeys(("format", "choice", "domain", "segmentation", "structure"), 1.0)
    assert config.data.task is Task.grid and config.model.path.endswith("7B-Instruct")


def test_mmr_ad_samples_contrastively():
    config = recipe("mmr_ad")
    assert config.algo.contrastive and config.rollout.teacher.kind is not TeacherKind.none
    assert config.data.task is Task.boxes and weights(config.reward)["box_penalty"] == 1


def test_cgro_has_the_numbers_of_the_paper():
    config = recipe("cgro")
    data, model, consistency = config.data, config.model, config.reward.consistency
    assert (data.square, data.with_reference, data.task) == (420, False, Task.yes_no)
    assert (config.algo.num_prompts, config.algo.num_completions) == (16, 8) and config.algo.kl_weight > 0
    assert model.lora.rank > 0 and model.freeze_vision and model.path.endswith("7B-Instruct")
    assert weights(config.reward) == dict.fromkeys(("format", "accuracy", "consistency"), 1.0)
    assert (consistency.delta_high, consistency.delta_low) == (0.3, 0.1)
    assert (config.localize.num_top, config.localize.percentile) == (3, 95.0)
    assert (config.localize.relevance_cut, config.localize.entropy_cut) == (Cut.median, Cut.chord)
    assert data.anomaly_words == ["defect", "defects", "anomaly", "anomalies", "abnormal"]
    assert QUESTIONS[Task.yes_no] == "Are there any defects or anomalies in the image?"


@pytest.mark.parametrize("name", REWARDS)
def test_a_recipe_has_the_task_of_its_reward(name):
    for config in (recipe(name), recipe(f"{name}_mini")):
        assert config.reward == preset(REWARDS[name]).config
        assert config.data.task is preset(REWARDS[name]).task


@pytest.mark.parametrize("name", REWARDS)
def test_a_recipe_holds_no_contradiction(name):
    check_elsewhere(recipe(name, "data.root=photos"))
    check_elsewhere(recipe(f"{name}_mini"))


@pytest.mark.parametrize("name", REWARDS)
def test_a_miniature_has_the_algorithm_of_its_recipe(name):
    full, mini = recipe(name).algo, recipe(f"{name}_mini").algo
    for key in ("num_completions", "num_updates", "kl_weight", "aggregation", "normalize_std", "contrastive"):
        assert getattr(mini, key) == getattr(full, key), key


HOST = "127.0.0.1:8000"
TEACHER = (f"rollout.teacher.url=http://{HOST}/v1", "rollout.teacher.model=large")
DATA = ("data.root=photos", "data.knowledge.file=domain_knowledge.json", "output=runs/x")
GIVEN = (*DATA, *TEACHER)


def stages(name: str, *overrides: str) -> dict[str, Any]:
    return {stage.name: stage.config for stage in stages_of(recipe(name, *overrides))}


def test_dcr2ad_has_the_numbers_of_the_paper():
    sft, pairs, prefer = stages("dcr2ad", *GIVEN).values()
    for training, lr in ((sft, 1e-5), (prefer, 1e-6)):
        assert (training.num_epochs, training.algo.num_prompts, training.algo.lr) == (1, 2, lr)
        assert (training.algo.schedule, training.algo.warmup_share) == (Schedule.cosine_restarts, 0.05)
        assert training.data.task is Task.routed and training.model.path.endswith("7B-Instruct")
    assert (sft.algo.objective, prefer.algo.objective) == (Objective.sft, Objective.dpo)
    assert (prefer.algo.preference.loss, prefer.algo.span) == (PairLoss.sigmoid, LossSpan.response)
    assert (pairs.pairs.margin, pairs.pairs.wrong, pairs.pairs.teacher) == (
        0.1,
        Choice.deceptive,
        PairTeacherKind.endpoint,
    )
    assert prefer.data.lessons == "runs/x/2_pairs/pairs.jsonl"
    assert pairs.data.knowledge.object_agnostic


def test_dcr2ads_72b_learns_by_an_adapter():
    large = ("model=qwen2_5_vl_72b_lora", "algo.num_prompts=6", "cluster.num_learners=6", "stages.prefer.algo.lr=2e-5")
    prefer = stages("dcr2ad", *GIVEN, *large)["prefer"]
    assert prefer.model.lora.rank > 0 and prefer.algo.lr == 2e-5
    check_run(recipe("dcr2ad", *GIVEN, *large))


@pytest.mark.parametrize("ablation", ["sft", "dpo", "kto", "grpo", "kr_dpo", "kr_dpo_related"])
@pytest.mark.parametrize("name", ["dcr2ad", "dcr2ad_mini"])
def test_each_ablation_of_dcr2ad_is_a_chain_without_contradiction(name, ablation):
    given = {"dcr2ad": GIVEN, "dcr2ad_mini": ("output=runs/x",)}[name]
    check_run(recipe(name, *given, f"ablation={ablation}"))


def test_a_key_of_a_stage_that_the_ablation_leaves_out_is_refused():
    sentence = "stages.prefer.algo.lr: stages.prefer is null here, .* or give algo.lr, which is for all"
    with pytest.raises(ValueError, match=sentence):
        recipe("dcr2ad_mini", "output=runs/x", "ablation=sft", "stages.prefer.algo.lr=1e-5")


def test_the_ablations_differ_in_what_their_names_say():
    last = {
        name: list(stages("dcr2ad_mini", "output=runs/x", f"ablation={name}").values())[-1]
        for name in ("sft", "dpo", "kto", "grpo", "kr_dpo", "kr_dpo_related")
    }
    assert {name: config.algo.objective.value for name, config in last.items()} == {
        "sft": "sft",
        "dpo": "dpo",
        "kto": "kto",
        "grpo": "grpo",
        "kr_dpo": "dpo",
        "kr_dpo_related": "dpo",
    }
    assert last["dpo"].algo.span is LossSpan.reasoning and last["kr_dpo"].algo.span is LossSpan.response
    assert not last["kr_dpo_related"].data.knowledge.object_agnostic


def test_the_ablation_is_a_sweep_by_its_file_alone():
    with open_composer("train", TrainConfig, []) as composer:
        found = composer.swept_by_config(["experiment=dcr2ad_mini/ablation", "seed=1"])
    assert found == ["ablation=sft,dpo,kto,grpo,kr_dpo,kr_dpo_related"]
