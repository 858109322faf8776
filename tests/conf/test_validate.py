"""Refusals of contradictions in a config, each a sentence that names the keys."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from actors.config import ClusterConfig, LoraConfig, ModelConfig, Placement, ProfileConfig, ReferenceKind
from conf.schema import DemoDataConfig, TrainConfig
from conf.validate import check_demo_data, check_elsewhere, check_resources
from launch.verbs import VERBS
from rewards.component import ComponentConfig
from rewards.config import RewardConfig
from rewards.presets import preset
from rl.algorithm import AlgoConfig, Objective
from rl.checkpoints import CheckpointConfig
from rl.config import check_ranges
from rl.data.config import DataConfig, KnowledgeConfig
from rl.preference_config import LossSpan
from rl.types import Task
from rollout.config import RolloutConfig


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)


@pytest.fixture
def good(tmp_path: Path) -> TrainConfig:
    (tmp_path / "photos").mkdir()
    (tmp_path / "model").mkdir()
    return TrainConfig(
        output=str(tmp_path / "run"),
        model=ModelConfig(path=str(tmp_path / "model")),
        data=DataConfig(root=str(tmp_path / "photos")),
        reward=preset("yes_no").config,
        cluster=ClusterConfig(cpus_per_actor=0.1, cpus_per_reward_worker=0.1),
    )


def check_train(config: TrainConfig) -> None:
    verb = VERBS["train"]
    verb.check(config)
    verb.check_here(config)


def test_a_config_without_contradiction_passes(good):
    check_train(good)


CONTRADICTIONS = {
    "algo.num_updates must divide algo.num_prompts; got 3 updates of 8": {
        "algo": AlgoConfig(num_prompts=8, num_updates=3)
    },
    "an update's 1 prompts (algo.num_prompts / algo.num_updates) do not split over 2 learners": {
        "algo": AlgoConfig(num_prompts=4, num_updates=4),
        "cluster": ClusterConfig(num_learners=2, cpus_per_actor=0.1),
    },
    "algo.parity_stop must be ≥ algo.parity_warn": {"algo": AlgoConfig(parity_warn=0.1, parity_stop=0.01)},
    "rollout.temperature must be ≥ 0.01": {"rollout": RolloutConfig(temperature=0.001)},
    "rollout.top_k=1 leaves the likeliest token alone": {"rollout": RolloutConfig(top_k=1)},
    "profile.steps=3-5 must be FIRST..LAST": {"profile": ProfileConfig(steps="3-5")},
    "profile.steps=99..101 must lie within the run's steps, 1..100": {"profile": ProfileConfig(steps="99..101")},
    "data.min_pixels must be ≤ data.max_pixels": {"data": DataConfig(root=".", min_pixels=9000, max_pixels=8000)},
    "data.with_reference=false shows one image, but data.task=boxes asks": {
        "data": DataConfig(root=".", with_reference=False)
    },
    "algo.objective=dpo learns from pairs; give their file": {"algo": AlgoConfig(objective=Objective.dpo)},
    "algo.objective=sft samples nothing": {"algo": AlgoConfig(objective=Objective.sft, max_refills=1)},
    "cluster.reference=cached keeps log-probs of answers that are taught": {
        "cluster": ClusterConfig(reference=ReferenceKind.cached)
    },
    "algo.objective=kto compares with answers to other prompts, which change": {
        "algo": AlgoConfig(objective=Objective.kto),
        "data": DataConfig(root=".", lessons="f"),
        "cluster": ClusterConfig(reference=ReferenceKind.cached),
    },
    "give algo.num_prompts ≥ 3": {
        "algo": AlgoConfig(objective=Objective.kto, num_prompts=2),
        "data": DataConfig(root=".", lessons="f"),
    },
    "algo.span=knowledge is not read by algo.objective=kto": {
        "algo": AlgoConfig(objective=Objective.kto, span=LossSpan.knowledge),
        "data": DataConfig(root=".", lessons="f"),
    },
    "data.task=routed asks for one of the pieces of knowledge that a question offers; give data.knowledge.file": {
        "data": DataConfig(root=".", task=Task.routed),
        "reward": preset("dcr2ad").config,
    },
    "cluster.reference=adapter_off needs LoRA": {"cluster": ClusterConfig(reference=ReferenceKind.adapter_off)},
    "needs model.freeze_vision and model.freeze_projector": {
        "model": ModelConfig(path="a/b", lora=LoraConfig(rank=8), freeze_vision=False),
        "cluster": ClusterConfig(reference=ReferenceKind.adapter_off),
    },
    "beside the adapter; freeze both": {
        "model": ModelConfig(path="a/b", lora=LoraConfig(rank=8), freeze_projector=False),
        "cluster": ClusterConfig(reference=ReferenceKind.adapter_off),
    },
    "cluster.placement=colocated pairs each rollout worker with a learner; got 2 and 1": {
        "cluster": ClusterConfig(placement=Placement.colocated, num_rollout_workers=2)
    },
    "cluster.micro_batch_tokens=6143 is less than a whole group may have": {
        "algo": AlgoConfig(num_completions=8),
        "rollout": RolloutConfig(max_prompt_tokens=2048, max_response_tokens=512),
        "cluster": ClusterConfig(micro_batch_tokens=6143),
    },
    "checkpoint.best_metric=accuracy is not a metric that this run records; did you mean eval/heldout/accuracy": {
        "checkpoint": CheckpointConfig(best_metric="accuracy")
    },
    "checkpoint.best_metric=reward/box/mean is not a metric that this run records": {
        "checkpoint": CheckpointConfig(best_metric="reward/box/mean")
    },
    "data.root=pyproject.toml is a file; give the folder of your images": {"data": DataConfig(root="pyproject.toml")},
    "output is empty; give the run folder": {"output": ""},
    "data.root is empty": {"data": DataConfig()},
    "data.root: there is no folder 'nowhere'": {"data": DataConfig(root="nowhere")},
    "model.path: 'no/such/folder' is neither a folder nor a hub id": {"model": ModelConfig(path="no/such/folder")},
    "model.path is empty; give a folder or a hub id": {"model": ModelConfig()},
}


@pytest.mark.parametrize("message", CONTRADICTIONS)
def test_a_contradiction_is_refused(good, message):
    with pytest.raises(ValueError) as caught:
        check_train(replace(good, **CONTRADICTIONS[message]))
    assert message in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("key", ["data.lessons", "data.knowledge.file"])
def test_a_file_that_is_not_there_is_named_before_anything_starts(good, key):
    knowledge = KnowledgeConfig(file="" if key == "data.lessons" else "/nope")
    data = replace(good.data, lessons="/nope" if key == "data.lessons" else "", knowledge=knowledge)
    with pytest.raises(ValueError, match=f"{key}: there is no file '/nope'"):
        check_train(replace(good, data=data))


def test_a_hub_id_and_adapter_off_with_lora_pass(good):
    model = ModelConfig(path="Qwen/Qwen2.5-VL-3B-Instruct", lora=LoraConfig(rank=8))
    cluster = replace(good.cluster, reference=ReferenceKind.adapter_off)
    check_train(replace(good, model=model, cluster=cluster))


def test_a_group_that_just_fits_a_micro_batch_passes(good):
    rollout = RolloutConfig(max_prompt_tokens=2048, max_response_tokens=512)
    cluster = replace(good.cluster, micro_batch_tokens=2048 + 8 * 512)
    check_train(replace(good, algo=AlgoConfig(num_completions=8), rollout=rollout, cluster=cluster))


@pytest.mark.parametrize("metric", ["reward/format/mean", "eval/heldout/mean_iou", "time/step", "reward/mean"])
def test_checkpoints_may_be_ranked_by_any_metric_that_the_run_records(good, metric):
    check_train(replace(good, checkpoint=CheckpointConfig(best_metric=metric)))


def needs_three_cpus_and_two_gpus() -> TrainConfig:
    return TrainConfig(cluster=ClusterConfig(gpus_per_actor=1))


def test_actors_that_just_fit_pass():
    check_resources(needs_three_cpus_and_two_gpus(), cpus=3, gpus=2)


@pytest.mark.parametrize(
    ("cpus", "gpus", "message"),
    [
        (2, 2, "a reward worker finds no room (this machine has 2 CPUs and 2 GPUs)"),
        (3, 1, "a rollout worker finds no room (this machine has 3 CPUs and 1 GPUs)"),
    ],
)
def test_more_actors_than_the_machine_holds_are_refused(cpus, gpus, message):
    with pytest.raises(ValueError) as caught:
        check_resources(needs_three_cpus_and_two_gpus(), cpus=cpus, gpus=gpus)
    needs = "the run needs 1 × learner with 1 CPUs and 1 GPUs, 1 × rollout worker with 1 CPUs and 1 GPUs, "
    assert message in str(caught.value) and needs in str(caught.value)


def test_a_reference_actor_counts_only_when_the_kl_needs_it():
    config = replace(needs_three_cpus_and_two_gpus(), algo=AlgoConfig(kl_weight=0.1))
    with pytest.raises(ValueError, match="1 × reference with"):
        check_resources(config, cpus=3, gpus=2)


def test_one_machine_cannot_keep_the_kinds_apart():
    config = replace(needs_three_cpus_and_two_gpus(), cluster=ClusterConfig(placement=Placement.apart))
    with pytest.raises(ValueError, match="on machines of their own"):
        check_resources(config, cpus=100, gpus=8)


def test_the_size_of_another_machine_is_not_checked_here(good, monkeypatch):
    many = ClusterConfig(num_reward_workers=10_000)
    check_train(replace(good, cluster=replace(many, address="auto")))
    with pytest.raises(ValueError, match=f"this machine has {os.cpu_count()} CPUs"):
        check_train(replace(good, cluster=many))
    monkeypatch.setenv("RAY_ADDRESS", "head:6379")
    check_train(replace(good, cluster=many))


def test_the_folders_of_another_machine_are_not_checked_here(good):
    config = replace(good, data=DataConfig(root="only/there"), model=ModelConfig(path="/only/there/too"))
    check_elsewhere(config)
    with pytest.raises(ValueError, match="there is no folder 'only/there'"):
        check_train(config)


def test_demo_data_needs_a_folder():
    with pytest.raises(ValueError, match="output is empty"):
        check_demo_data(DemoDataConfig(output=""))


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan")])
def test_a_number_that_is_not_finite_is_refused(value):
    with pytest.raises(ValueError, match=r"reward\.box\.weight must be a finite number"):
        check_ranges(TrainConfig(reward=RewardConfig(box=ComponentConfig(weight=value))))
