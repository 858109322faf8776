"""Checkpoints of a learner load elsewhere, and a learner restored from one goes on bit for bit."""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import rl.import_fixes  # noqa: F401

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForImageTextToText

from actors.config import LoraConfig
from actors.model import load_model
from builders.learners import (
    FAST,
    MODELS,
    as_policy,
    caught,
    model_config,
    open_learner,
    plans_of,
    timeless,
    with_engine_logprobs,
)
from builders.ranks import Ranks
from builders.tiny_groups import mixed_groups
from rl.asking import read_asking
from rl.batching import to_batch
from rl.checkpoints import Progress, Record, checkpoint_folder, read_checkpoint

pytestmark = pytest.mark.slow
RECORD = Record(
    progress=Progress(step=2, position=0),
    policy_version=2,
    metrics_bytes=0,
    metrics_chain="",
    epoch=1,
    wandb_id="",
    data_hash="",
    config={"data": {"square": 112}},
)
WARMING_UP = replace(FAST, warmup_steps=3)
RESUMED: dict[str, dict[str, Any]] = {"frozen vision": {}, "lora": {"lora": LoraConfig(rank=4, dropout=0.5)}}
"""Model options; dropout makes random states matter."""


@dataclass(frozen=True, kw_only=True)
class Saved:
    """Distances between a trained learner, its published weights, its checkpoint and the untrained model."""

    published: float
    """Largest difference between a published and a saved weight."""
    parity: float
    """Largest difference between log-probs of the learner and of the loaded checkpoint."""
    trained: float
    """Largest difference between log-probs of the loaded checkpoint and of the untrained model."""
    kinds: list[str]
    """Folders of weights in the checkpoint."""
    asking: dict[str, Any]
    """How the model in hf/ says that it was asked."""


def saved(_: int, folder: Path, out: Path, model: str) -> Saved:
    """Train a learner for two updates, save it, and load what it saved."""
    learner = open_learner(model_config(folder, **MODELS[model]), FAST)
    groups = mixed_groups(folder)
    for _ in range(2):
        learner.update(plans_of(groups))
    step = checkpoint_folder(out, 2)
    learner.save(str(step), RECORD)
    learner.finish_saving()
    loaded = loaded_weights(folder, step)
    published = furthest_weight(learner.weights(), loaded.state_dict())
    report = learner.update(plans_of(with_engine_logprobs(groups, loaded)))
    learner.close()
    batch = to_batch(groups)
    with torch.no_grad():
        merged, untrained = (as_policy(hf)(batch).logprobs for hf in (loaded, load_model(model_config(folder))))
    return Saved(
        published=published,
        parity=report["parity/logprob_abs_max"],
        trained=float((merged - untrained).abs().max()),
        kinds=sorted(path.name for path in step.iterdir() if path.name in ("hf", "adapter")),
        asking=read_asking(step / "hf"),
    )


def loaded_weights(folder: Path, step: Path) -> Any:
    """Load a checkpoint's weights: hf/ if it is there, else the adapter merged into the base model."""
    if (step / "hf").is_dir():
        return AutoModelForImageTextToText.from_pretrained(step / "hf", dtype=torch.float32)
    return PeftModel.from_pretrained(load_model(model_config(folder)), step / "adapter").merge_and_unload()


def furthest_weight(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> float:
    assert set(found) == set(expected)
    return max(float((tensor - expected[name]).abs().max()) for name, tensor in found.items())


@pytest.mark.parametrize(
    ("model", "kinds"),
    [
        ("full", ["hf"]),
        ("frozen vision", ["hf"]),
        ("lora", ["adapter"]),
        ("lora and projector", ["adapter", "hf"]),
    ],
)
def test_a_saved_folder_loads_with_transformers_and_gives_the_same_logprobs(
    one_rank, tiny_model, tmp_path, model, kinds
):
    (found,) = one_rank.run(saved, tiny_model, tmp_path, model)
    assert found.parity <= 1e-5
    assert found.published <= 1e-6
    assert found.trained > 0.1
    # There is only an adapter if nothing else learned.
    assert found.kinds == kinds
    assert found.asking == ({"data.square": 112} if "hf" in kinds else {})


@dataclass(frozen=True, kw_only=True)
class Resumed:
    """Reports of updates 3 and 4, of one learner and of a restored one."""

    straight: list[dict[str, float]]
    resumed: list[dict[str, float]]
    same_weights: bool
    """True if both learners end with the same weights, bit for bit."""


def resumed(rank: int, folder: Path, out: Path, num_ranks: int, model: str) -> Resumed:
    """Make four updates; make the last two again with a learner restored from the checkpoint after two."""
    config = model_config(folder, **RESUMED[model])
    plans = plans_of(mixed_groups(folder), rank, num_ranks=num_ranks)
    learner = open_learner(config, WARMING_UP)
    step = checkpoint_folder(out, 2)
    straight = []
    for number in range(4):
        if number == 2:
            learner.save(str(step), RECORD)
        straight.append(learner.update(plans))
    learner.finish_saving()
    whole = learner.weights()
    learner.close()
    again = open_learner(config, WARMING_UP)
    again.restore(str(step), read_checkpoint(step).record.model)
    later = [again.update(plans) for _ in range(2)]
    same = all(torch.equal(tensor, whole[name]) for name, tensor in again.weights().items())
    again.close()
    return Resumed(
        straight=[timeless(each) for each in straight[2:]],
        resumed=[timeless(each) for each in later],
        same_weights=same,
    )


@pytest.fixture(scope="module")
def of_two_ranks(
    two_ranks: Ranks, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[Resumed]]:
    """Save and resume in two ranks; return the checkpoint and the results of each rank."""
    out = tmp_path_factory.mktemp("pair")
    return checkpoint_folder(out, 2), two_ranks.run(resumed, tiny_model, out, 2, "frozen vision")


@pytest.mark.parametrize("model", RESUMED)
def test_a_restored_learner_goes_on_bit_for_bit(one_rank, tiny_model, tmp_path, model):
    (found,) = one_rank.run(resumed, tiny_model, tmp_path, 1, model)
    assert found.resumed == found.straight
    assert found.same_weights


def test_two_restored_ranks_go_on_bit_for_bit(of_two_ranks, two_ranks, tiny_model, tmp_path):
    for found in (*of_two_ranks[1], *two_ranks.run(resumed, tiny_model, tmp_path, 2, "lora")):
        assert found.resumed == found.straight
        assert found.same_weights


def update_after_restoring(_: int, folder: Path, step: Path) -> dict[str, float]:
    learner = open_learner(model_config(folder), WARMING_UP)
    learner.restore(str(step), read_checkpoint(step).record.model)
    report = learner.update(plans_of(mixed_groups(folder)))
    learner.close()
    return report


def test_a_checkpoint_of_two_ranks_goes_on_in_one(of_two_ranks, one_rank, tiny_model):
    step, (rank, _) = of_two_ranks
    (report,) = one_rank.run(update_after_restoring, tiny_model, step)
    for name in ("actor/loss", "actor/grad_norm", "actor/lr", "actor/entropy"):
        assert report[name] == pytest.approx(rank.straight[0][name], rel=1e-4), name


def refused(_: int, folder: Path, step: Path) -> list[str]:
    """Return how a learner refuses a checkpoint of other weights, and one of other shapes."""
    learner = open_learner(model_config(folder, lora=LoraConfig(rank=2)))
    record = read_checkpoint(step).record
    said = [caught(partial(learner.restore, str(step), mark))[1] for mark in ("0" * 16, record.model)]
    learner.close()
    return said


def test_a_checkpoint_of_another_model_is_refused(one_rank, tiny_model, tmp_path):
    one_rank.run(saved, tiny_model, tmp_path, "lora")
    ((weights, shapes),) = one_rank.run(refused, tiny_model, checkpoint_folder(tmp_path, 2))
    assert "started from other weights than model.path=" in weights
    assert "the checkpoint of another model" in shapes and "lora_A" in shapes
