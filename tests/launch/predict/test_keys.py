"""Keys of `assay predict`: those that would do nothing are refused, and those left out follow from the model."""

from pathlib import Path

import rl.import_fixes  # noqa: F401

import pytest

from conf.keys import sections, walk
from conf.schema import UNREAD_BY_PREDICT, PredictConfig
from launch.__main__ import assay
from launch.command.arguments import in_full
from launch.command.composing import open_composer
from launch.command.mistakes import check_read, reason_unread
from rl.faults import UserError

STARTER = str(Path(__file__).parents[3] / "models/starter")


def test_a_key_that_would_do_nothing_is_refused(capsys):
    words = ["input=photos/in", "model=starter", "reference=photos/normal", "data.heldout_share=0.1"]
    assert assay(["predict", *words]) == 2
    err = capsys.readouterr().err
    assert err.startswith("assay predict: data.heldout_share does nothing here: ") and err.endswith("; leave it out\n")


@pytest.mark.parametrize("key", [key.path for key in walk(PredictConfig) if reason_unread(key.path, UNREAD_BY_PREDICT)])
def test_each_key_that_would_do_nothing_is_refused(key):
    with pytest.raises(UserError, match=rf"^{key} does nothing here: .*; leave it out$"):
        check_read([f"{key}=1"], UNREAD_BY_PREDICT)


def test_help_leaves_out_keys_that_would_do_nothing(capsys):
    assert UNREAD_BY_PREDICT.keys() <= {key.path for key in walk(PredictConfig)} | sections(PredictConfig).keys()
    assert assay(["predict", "--help"]) == 0
    page = capsys.readouterr().out
    assert "  model.precision=" in page and "  rollout.max_prompt_tokens=" in page
    assert [key for key in UNREAD_BY_PREDICT if key in page] == []


@pytest.mark.parametrize("model", ["starter", "starter_yes_no", "qwen2_5_vl_3b"])
@pytest.mark.parametrize("groups", ["data=demo", "cluster=1xh100", "cluster=4x8xh100 rollout=graphs"])
def test_training_keys_set_by_groups_are_no_mistake(model, groups):
    words = ["input=photos/in", f"model={model}", "reference=photos/normal", *groups.split()]
    assert assay(["predict", *words, "--cfg", "job"]) == 0


@pytest.mark.parametrize(
    ("typed", "task", "instructions", "precision"),
    [
        ("model=starter", "boxes", "none", "fp32"),
        ("model=starter_yes_no", "yes_no", "none", "fp32"),
        ("model=qwen2_5_vl_3b", "yes_no", "paper", "bf16"),
        ("model=qwen2_5_vl_3b reference=good", "boxes", "paper", "bf16"),
        (f"model={STARTER} reference=good", "boxes", "none", "fp32"),
        (f"model={STARTER} reference=good data.instructions=paper", "boxes", "paper", "fp32"),
        ("model=owner/name data.task=boxes model.precision=fp32", "boxes", "paper", "fp32"),
    ],
)
def test_task_instructions_and_precision_follow_from_the_model(typed, task, instructions, precision):
    with open_composer("predict", PredictConfig, []) as composer:
        found = composer.compose(in_full(typed.split(), composer.choices, (), ()))
    assert (found.data.task.name, found.data.instructions.name, found.model.precision.name) == (
        task,
        instructions,
        precision,
    )
