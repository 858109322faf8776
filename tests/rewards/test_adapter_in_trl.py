"""A GRPO step of TRL's own trainer with our rewards."""

from pathlib import Path

import rl.import_fixes  # noqa: F401

import pytest
from datasets import Dataset
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM
from trl import GRPOConfig, GRPOTrainer

from rewards import as_trl

pytestmark = pytest.mark.slow

STARTER = Path(__file__).parents[2] / "models/starter"


def test_trls_own_trainer_takes_a_step_with_our_reward(tmp_path: Path):
    tokenizer = AutoTokenizer.from_pretrained(STARTER)
    sizes = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = LlamaConfig(vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id, **sizes)
    rows = [{"prompt": "Are there any defects?", "target": {"label": "normal", "boxes": []}}] * 4
    trainer = GRPOTrainer(
        model=LlamaForCausalLM(config),
        reward_funcs=[as_trl("yes_no"), as_trl("mmr_ad")],
        args=GRPOConfig(
            output_dir=str(tmp_path),
            max_steps=1,
            per_device_train_batch_size=4,
            num_generations=2,
            max_completion_length=8,
            use_cpu=True,
            bf16=False,
            report_to="none",
            logging_steps=1,
        ),
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
    )
    trainer.train()
    (row,) = [row for row in trainer.state.log_history if "reward" in row]
    # Nothing that an untrained model says can be read.
    assert row["rewards/yes_no/mean"] == 0 and row["rewards/mmr_ad/mean"] == 0 and row["reward/accuracy"] == 0
