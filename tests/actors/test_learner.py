"""The learner under FSDP2, in processes of its own: two ranks, and one."""

from pathlib import Path
from typing import Any

import rl.torchvision_ops  # noqa: F401

import numpy as np
import pytest
from learner_cases import MODELS, RESUMED, plain_steps, resharded_case
from learner_suites import one_rank, two_ranks
from ranks import run_ranks
from transformers import AutoModelForImageTextToText

from actors.config import ReferenceKind
from rl.checkpoints import checkpoint_folder

pytestmark = pytest.mark.slow
LANGUAGE_MODEL = {"_proj", "embed_tokens", "norm", "lm_head"}


@pytest.fixture(scope="module")
def two_ranks_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pair")


@pytest.fixture(scope="module")
def pair(tiny_model: Path, two_ranks_folder: Path) -> list[dict[str, Any]]:
    """What each of two ranks found."""
    return run_ranks(two_ranks, 2, tiny_model, two_ranks_folder, num_groups=20, timeout_s=240)


@pytest.fixture(scope="module")
def single(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a learner alone found."""
    (found,) = run_ranks(one_rank, 1, tiny_model, tmp_path_factory.mktemp("single"), num_groups=34, timeout_s=240)
    return found


@pytest.mark.parametrize("model", MODELS)
def test_two_ranks_give_the_loss_and_gradient_norm_of_one_process_without_fsdp(pair, tiny_model, model):
    plain = plain_steps(tiny_model, MODELS[model])
    for rank in pair:
        reports = rank[model]["reports"]
        losses, norms = ([report[f"actor/{name}"] for report in reports] for name in ("loss", "grad_norm"))
        assert losses == pytest.approx(plain["losses"], rel=1e-5)
        assert norms == pytest.approx(plain["norms"], rel=1e-5)
    apart = {"loss": furthest(losses, plain["losses"]), "gradient norm": furthest(norms, plain["norms"])}
    print(f"figure: {model}, relative: " + ", ".join(f"{name} {gap:.0e}" for name, gap in apart.items()))


def furthest(found: list[float], expected: list[float]) -> float:
    return max(abs(one / other - 1) for one, other in zip(found, expected, strict=True))


def test_two_ranks_train_the_weights_of_one_process(pair, tiny_model):
    plain = plain_steps(tiny_model, MODELS["full"])["weights"]
    trained = pair[0]["full"]["weights"]
    assert set(trained) == set(plain)
    for name, weight in trained.items():
        # Adam turns the rounding of a near-zero gradient into a visible step.
        assert np.abs(weight - plain[name]).max() < 3e-4, name


def test_the_ranks_were_dealt_unequal_work_so_that_one_idled_in_step(pair):
    first, second = (rank["full"]["dealt"] for rank in pair)
    assert len(first) == len(second)
    assert [] in first + second


def test_only_rank_0_hands_out_weights(pair):
    assert pair[1]["full"]["weights"] == {}


def test_all_ranks_refuse_a_group_that_one_of_them_cannot_take(pair):
    for rank in pair:
        kind, message, seconds = rank["bad token"]
        assert kind == "ValueError"
        assert message.startswith("sample tiny/")
        assert "beyond the model's" in message
        assert seconds < 60


def test_accumulating_micro_batches_equals_one_full_batch(single):
    (many, parts), (one, whole) = single["accumulation"]
    assert (many, one) == (5, 1)
    for name in ("actor/loss", "actor/grad_norm", "actor/kl", "actor/entropy", "parity/logprob_abs_mean"):
        assert parts[name] == pytest.approx(whole[name], rel=1e-5)


def test_the_parity_gate_lets_equal_logprobs_through(single):
    report, refusal, moved = single["gate"][0.0]
    assert (refusal, moved) == ("", True)
    assert report["parity/logprob_abs_max"] <= 1e-5


def test_the_parity_gate_stops_before_the_optimizers_step(single):
    _, refusal, moved = single["gate"][0.5]
    assert not moved
    assert refusal.startswith("engine and learner log-probs differ by 0.5 on average and 0.5 at most")
    assert "algo.parity_stop=0.1" in refusal


def test_the_parity_gate_stops_at_nan(single):
    (_, refusal, moved) = next(found for shift, found in single["gate"].items() if shift != shift)
    assert not moved
    assert "differ by nan" in refusal


@pytest.mark.parametrize("num_updates", [1, 2])
def test_a_completion_that_somebody_else_wrote_is_learnt_from_as_if_its_ratio_were_1(single, num_updates):
    own, foreign, same = single["off policy"][num_updates]
    # The same gradients to the bit, so the policy's own log-probs at scoring time were the old ones.
    assert same
    assert {name: value for name, value in own.items() if not name.startswith("parity/")} == {
        name: value for name, value in foreign.items() if not name.startswith("parity/")
    }


def test_the_parity_gate_leaves_out_what_the_engine_did_not_sample(single):
    _, foreign, _ = single["off policy"][1]
    # Its missing log-probs are far from the learner's, about -5 a token.
    assert 0 < foreign["parity/logprob_abs_mean"] <= foreign["parity/logprob_abs_max"] <= 1e-5


@pytest.mark.parametrize("model", MODELS)
def test_a_saved_folder_loads_with_transformers_and_gives_the_same_logprobs(single, model):
    gaps = single["saved"][model]
    assert gaps["saved"] <= 1e-5
    assert gaps["published"] <= 1e-6
    assert gaps["moved"] > 0.1


def test_a_checkpoint_holds_an_adapter_alone_where_nothing_else_learned(single):
    kinds = {name: found["kinds"] for name, found in single["saved"].items()}
    assert kinds["full"] == ["hf"]
    assert kinds["lora"] == ["adapter"]
    assert kinds["lora and projector"] == ["adapter", "hf"]


@pytest.mark.parametrize("model", RESUMED)
def test_a_restored_learner_goes_on_bit_for_bit(single, pair, model):
    for found in (single["resumed"][model], *(rank["resumed"][model] for rank in pair)):
        assert found["resumed"] == found["straight"]
        assert found["same"]


def test_a_checkpoint_of_two_ranks_goes_on_in_one(pair, two_ranks_folder, tiny_model):
    step = checkpoint_folder(two_ranks_folder / "frozen vision", 2)
    (report,) = run_ranks(resharded_case, 1, tiny_model, step, num_groups=1, timeout_s=120)
    straight = pair[0]["resumed"]["frozen vision"]["straight"][0]
    for name in ("actor/loss", "actor/grad_norm", "actor/lr", "actor/entropy"):
        assert report[name] == pytest.approx(straight[name], rel=1e-4), name


def test_a_checkpoint_of_another_model_is_refused(single):
    weights, shapes = single["refused"]
    assert "started from other weights than model.path=" in weights
    assert "the checkpoint of another model" in shapes and "lora_A" in shapes


def test_weights_carry_the_names_and_shapes_of_the_checkpoint(pair, tiny_model):
    model = AutoModelForImageTextToText.from_pretrained(tiny_model)
    expected = {name: tuple(weight.shape) for name, weight in model.state_dict().items()}
    for name in MODELS:
        assert {each: weight.shape for each, weight in pair[0][name]["weights"].items()} == expected


@pytest.mark.parametrize(
    ("model", "parts"),
    [
        ("full", LANGUAGE_MODEL | {"visual", "visual.merger"}),
        ("frozen vision", LANGUAGE_MODEL),
        ("lora", {"_proj"}),
        ("lora and projector", {"_proj", "visual.merger"}),
    ],
)
def test_frozen_parts_do_not_change(single, model, parts):
    assert single["changed"][model] == parts


def test_the_policy_without_its_adapter_is_the_same_reference_as_an_actor(single):
    by = dict(zip(ReferenceKind, single["reference"], strict=True))
    for own, actor in zip(by[ReferenceKind.adapter_off], by[ReferenceKind.actor], strict=True):
        for name in ("actor/loss", "actor/kl", "actor/grad_norm"):
            assert own[name] == pytest.approx(actor[name], rel=1e-4, abs=1e-6)
    first, second = by[ReferenceKind.adapter_off]
    assert first["actor/kl"] == pytest.approx(0, abs=1e-6)
    assert second["actor/kl"] > 1e-3


def test_several_updates_compare_with_the_policy_before_the_first(single):
    report, losses = single["two updates"]
    assert report["actor/loss"] == pytest.approx(sum(losses) / 2, rel=1e-5)
    assert report["actor/clip_ratio"] > 0


def test_bf16_computes_in_bf16_and_hands_out_bf16(single):
    report, types = single["bf16"]
    assert types == {"torch.bfloat16"}
    assert 1e-5 < report["parity/logprob_abs_mean"] < 0.1


def test_dropout_does_not_touch_the_old_logprobs(single):
    report, types = single["dropout"]
    assert types == {"torch.float32"}
    assert report["parity/logprob_abs_max"] <= 1e-5
