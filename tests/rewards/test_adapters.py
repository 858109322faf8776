"""Our rewards as other trainers call them: TRL's functions, and verl's reward manager on a parquet file."""

import asyncio
import json
from pathlib import Path

import rl.import_fixes  # noqa: F401

import numpy as np
import pandas as pd
import pytest
import torch
from omegaconf import OmegaConf
from transformers import AutoTokenizer
from verl import DataProto
from verl.trainer.ppo.reward import load_reward_manager

from rewards import as_trl, as_verl
from rewards.presets import preset
from rl.types import Task

STARTER = Path(__file__).parents[2] / "models/starter"
RIGHT = "<think>Even.</think><answer>No.</answer>"
MISSED = {"label": "defective", "boxes": [[0, 0, 4, 4]]}


def test_trl_reward_functions_get_texts_or_chats_and_leave_out_what_cannot_be_judged():
    judge = as_trl("yes_no_boxes")
    chat = [{"role": "assistant", "content": RIGHT}]
    targets = [{"label": "normal", "boxes": None}, MISSED, {"label": "defective"}]
    logged: dict[str, float] = {}
    values = judge(
        prompts=["?"] * 3,
        completions=[chat, RIGHT, RIGHT],
        target=targets,
        log_metric=lambda name, value: logged.update({name: value}),
    )
    assert values == [3.0, 1.0, None]
    assert judge.__name__ == "yes_no_boxes" and logged["reward/accuracy"] == pytest.approx(1 / 3)


def test_a_config_needs_the_form_of_its_answers():
    with pytest.raises(ValueError, match="give task= beside a config"):
        as_trl(preset("mmr_ad").config)
    assert as_trl(preset("mmr_ad").config, task=Task.boxes)(["?"], [RIGHT], target=[{"label": "normal"}]) == [1.0]


def test_verl_reads_our_reward_from_its_config_and_a_parquet_file(tmp_path: Path):
    rows = [
        {"data_source": "demo", "reward_model": {"ground_truth": {"label": "normal"}}, "extra_info": {"index": 7}},
        {"data_source": "demo", "reward_model": {"ground_truth": json.dumps(MISSED)}, "extra_info": {"index": 8}},
    ]
    for row in rows:
        pd.DataFrame([row]).to_parquet(tmp_path / f"{row['extra_info']['index']}.parquet")
    options = {"path": "pkg://rewards.adapters", "name": "compute_score", "reward_kwargs": {"reward": "mmr_ad"}}
    manager = {"source": "register", "name": "naive"}
    config = OmegaConf.create({"reward": {"custom_reward_function": options, "reward_manager": manager}})
    judge = load_reward_manager(config, AutoTokenizer.from_pretrained(STARTER))

    normal, defective = (asyncio.run(judged(judge, tmp_path / f"{index}.parquet")) for index in (7, 8))

    assert normal["reward_score"] == 1
    assert defective["reward_score"] == pytest.approx(-0.2)
    assert defective["reward_extra_info"]["accuracy"] == 0


async def judged(judge, file: Path) -> dict:
    """Return the result of verl's reward manager for an answer to the one row of a parquet file."""
    (row,) = pd.read_parquet(file).to_dict("records")
    answer = torch.tensor([judge.tokenizer.encode(RIGHT)])
    judge.loop = asyncio.get_running_loop()
    data = DataProto.from_single_dict(
        {"responses": answer, "attention_mask": torch.ones_like(answer)}
        | {name: np.array([value], dtype=object) for name, value in row.items()}
    )
    return await judge.run_single(data)


def test_an_answer_that_cannot_be_judged_is_an_error_in_verl():
    with pytest.raises(ValueError, match="sample 3: no score, reward box has nothing to judge by in this sample"):
        as_verl("yes_no_boxes")("demo", RIGHT, {"label": "defective"}, {"index": 3})
    arrays = {"label": "defective", "boxes": np.array([[0.0, 0.0, 4.0, 4.0]])}
    assert as_verl("mmr_ad")("demo", RIGHT, arrays)["box_penalty"] == -0.2
