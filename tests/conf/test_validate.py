"""Contradictions are refused, each with a sentence that names the keys."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from actors.config import ClusterConfig, LoraConfig, ModelConfig, ReferenceKind
from conf.schema import DemoDataConfig, TrainConfig
from conf.validate import check_demo_data, check_resources, check_train
from rewards.config import BoxConfig, RewardConfig
from rl.algorithm import AlgoConfig
from rl.config import check_ranges
from rl.data.config import DataConfig
from rollout.config import RolloutConfig


@pytest.fixture
def good(tmp_path: Path) -> TrainConfig:
    (tmp_path / "photos").mkdir()
    (tmp_path / "model").mkdir()
    return TrainConfig(
        model=ModelConfig(path=str(tmp_path / "model")),
        data=DataConfig(root=str(tmp_path / "photos")),
        cluster=ClusterConfig(cpus_per_actor=0.1, cpus_per_reward_worker=0.1),
    )


def test_a_sound_config_passes(good):
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
    "rollout.top_p must be 1 with GRPO": {"rollout": RolloutConfig(top_p=0.9)},
    "data.min_pixels must be ≤ data.max_pixels": {"data": DataConfig(root=".", min_pixels=9000, max_pixels=8000)},
    "cluster.reference=adapter_off needs LoRA": {"cluster": ClusterConfig(reference=ReferenceKind.adapter_off)},
    "data.root is empty": {"data": DataConfig()},
    "data.root: there is no folder 'nowhere'": {"data": DataConfig(root="nowhere")},
    "model.path: 'no/such/folder' is neither a folder nor a hub id": {"model": ModelConfig(path="no/such/folder")},
    "model.path: '' is neither": {"model": ModelConfig()},
}


@pytest.mark.parametrize("message", CONTRADICTIONS)
def test_a_contradiction_is_refused(good, message):
    with pytest.raises(ValueError) as caught:
        check_train(replace(good, **CONTRADICTIONS[message]))
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_a_hub_id_and_adapter_off_with_lora_pass(good):
    model = ModelConfig(path="Qwen/Qwen2.5-VL-3B-Instruct", lora=LoraConfig(rank=8))
    cluster = replace(good.cluster, reference=ReferenceKind.adapter_off)
    check_train(replace(good, model=model, cluster=cluster))


def needs_three_cpus_and_two_gpus() -> TrainConfig:
    return TrainConfig(cluster=ClusterConfig(gpus_per_actor=1))


def test_actors_that_just_fit_pass():
    check_resources(needs_three_cpus_and_two_gpus(), cpus=3, gpus=2)


@pytest.mark.parametrize(
    ("cpus", "gpus", "message"), [(2, 2, "need 3 CPUs and there are 2"), (3, 1, "need 2 GPUs and there are 1")]
)
def test_more_actors_than_the_machine_holds_are_refused(cpus, gpus, message):
    with pytest.raises(ValueError, match=message):
        check_resources(needs_three_cpus_and_two_gpus(), cpus=cpus, gpus=gpus)


def test_a_reference_actor_counts_only_when_the_kl_needs_it():
    config = replace(needs_three_cpus_and_two_gpus(), algo=AlgoConfig(kl_weight=0.1))
    with pytest.raises(ValueError, match="a reference"):
        check_resources(config, cpus=3, gpus=2)


def test_the_size_of_another_machine_is_left_to_ray(good):
    check_train(replace(good, cluster=ClusterConfig(num_learners=1, num_reward_workers=10_000, address="auto")))
    with pytest.raises(ValueError, match=f"there are {os.cpu_count()}"):
        check_train(replace(good, cluster=ClusterConfig(num_reward_workers=10_000)))


def test_demo_data_needs_a_folder():
    with pytest.raises(ValueError, match="output is empty"):
        check_demo_data(DemoDataConfig(output=""))


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan")])
def test_a_number_that_is_none_is_refused(value):
    with pytest.raises(ValueError, match=r"reward\.box\.weight must be a finite number"):
        check_ranges(TrainConfig(reward=RewardConfig(box=BoxConfig(weight=value))))
