"""The learner: FSDP changes nothing, the gate stops in time, what it saves loads."""

import os
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from mixed_groups import learner, mixed_groups, policy, train_alone
from ranks import on_ranks
from safetensors.torch import load_file
from transformers import AutoModelForImageTextToText

from rl.batching import plan_updates, to_batch

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def group_of_one():
    os.environ |= {"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}
    store = dist.HashStore()
    dist.init_process_group("gloo", store=store, rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.parametrize("lora_rank", [0, 4])
def test_two_ranks_train_as_one_process_without_fsdp(tiny_model: Path, tmp_path: Path, lora_rank: int):
    arguments = {"folder": tiny_model, "num_learners": 2, "lora_rank": lora_rank}

    first, second = on_ranks(2, "mixed_groups:train_on_ranks", arguments, tmp_path)

    alone = train_alone(tiny_model, lora_rank)
    for one, other, expected in zip(first, second, alone, strict=True):
        differences = {
            "loss": abs(one["actor/loss"] - expected["loss"]),
            "gradient norm": abs(one["actor/grad_norm"] - expected["grad_norm"]),
            "log-probs": abs(one["parity/logprob_abs_mean"] - expected["parity"]),
        }
        print(f"figure: LoRA rank {lora_rank}: " + ", ".join(f"{name} {gap:.1e}" for name, gap in differences.items()))
        assert max(differences.values()) <= 1e-5
        assert one["actor/grad_norm"] == other["actor/grad_norm"]


def plan(folder: Path, **options: int):
    defaults = {"num_updates": 1, "num_ranks": 1, "micro_batch_tokens": 160}
    return plan_updates(mixed_groups(folder), **(defaults | options))[0]


def test_small_micro_batches_train_as_one_large(tiny_model: Path):
    small = learner(tiny_model).update(plan(tiny_model))
    large = learner(tiny_model).update(plan(tiny_model, micro_batch_tokens=10_000))

    assert small["actor/loss"] == pytest.approx(large["actor/loss"], abs=1e-6)
    assert small["actor/grad_norm"] == pytest.approx(large["actor/grad_norm"], rel=1e-5)


def test_the_parity_gate_stops_before_a_weight_changes(tiny_model: Path):
    student = learner(tiny_model, parity_warn=1e-4, parity_stop=1e-3)
    before = student.weights()

    with pytest.raises(ValueError, match=r"algo\.parity_stop=0\.001"):
        student.update(plan(tiny_model))

    after = student.weights()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_later_updates_of_a_batch_measure_their_ratio_against_its_start(tiny_model: Path):
    report = learner(tiny_model, num_updates=2, lr=0.1).update(plan(tiny_model, num_updates=2))

    assert report["actor/clip_ratio"] > 0


@pytest.mark.parametrize("lora_rank", [0, 4])
def test_what_is_saved_loads_in_transformers_and_answers_the_same(tiny_model: Path, tmp_path: Path, lora_rank: int):
    student = learner(tiny_model, lora_rank)
    student.update(plan(tiny_model))
    student.save(str(tmp_path))

    AutoModelForImageTextToText.from_pretrained(tmp_path)
    batch = to_batch(mixed_groups(tiny_model))
    with torch.no_grad():
        reloaded, trained = policy(tmp_path)(batch).logprobs, student._logprobs(batch)
    torch.testing.assert_close(reloaded, trained, atol=2e-5, rtol=0)
    assert (tmp_path / "adapter" / "adapter_config.json").exists() == bool(lora_rank)


def test_weights_carry_the_names_of_the_checkpoint(tiny_model: Path):
    weights = learner(tiny_model, 4).weights()

    expected = dict(policy(tiny_model).hf.named_parameters())
    assert {name: tensor.shape for name, tensor in weights.items() if name in expected} == {
        name: tensor.shape for name, tensor in expected.items()
    }
    assert not [name for name in weights if "lora" in name or "base_layer" in name]
    assert load_file(tiny_model / "model.safetensors")
