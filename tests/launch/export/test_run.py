"""An exported checkpoint is a model folder with a card on its origin."""

import json
from pathlib import Path

import rl.import_fixes  # noqa: F401

import pytest
import torch
import yaml
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForImageTextToText, AutoProcessor

from conf.schema import ExportConfig
from launch.export.run import main
from launch.run.model_folder import make_ready, model_folder
from rl.asking import read_asking
from rl.checkpoints import Progress, Record, checkpoint_folder, commit, read_checkpoint, unfinished


@pytest.fixture
def adapted_run(tiny_model: Path, tmp_path: Path) -> Path:
    """Make a run folder whose only checkpoint is an adapter that changes the model."""
    run = tmp_path / "run"
    step = checkpoint_folder(run, 4)
    model = AutoModelForImageTextToText.from_pretrained(tiny_model, dtype=torch.float32)
    adapted = get_peft_model(model, LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False))
    adapted.save_pretrained(unfinished(step, 1) / "adapter")
    rows = [{"step": 4, "reward/mean": 1.5}, {"step": 4, "eval/heldout/accuracy": 0.75}, {"step": 5, "reward/mean": 9}]
    (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = {"model": {"path": str(tiny_model), "precision": "float32"}, "data": {"root": "photos"}}
    record = Record(
        progress=Progress(step=4, position=64),
        policy_version=4,
        metrics_bytes=0,
        metrics_chain="",
        epoch=1,
        wandb_id="",
        data_hash="abc123",
        config=config,
        model="feed",
    )
    commit(step, record)
    return run


def test_an_adapter_is_merged_into_a_folder_that_loads_by_itself(adapted_run: Path, tiny_model: Path, tmp_path: Path):
    output = tmp_path / "exported"

    assert main(ExportConfig(checkpoint=str(adapted_run), output=str(output))) == 0

    found = AutoModelForImageTextToText.from_pretrained(output, dtype=torch.float32)
    AutoProcessor.from_pretrained(output)
    base = AutoModelForImageTextToText.from_pretrained(tiny_model, dtype=torch.float32)
    adapter = checkpoint_folder(adapted_run, 4) / "adapter"
    expected = PeftModel.from_pretrained(base, adapter)
    ids = torch.arange(12)[None]
    with torch.no_grad():
        gap = (found(input_ids=ids).logits - expected(input_ids=ids).logits).abs().max()
    assert gap < 1e-5


def test_an_adapter_is_merged_once_beside_its_checkpoint_when_the_run_is_asked(adapted_run: Path, capsys):
    folder = Path(model_folder(str(adapted_run)))
    make_ready(str(folder))
    make_ready(str(folder))

    assert capsys.readouterr().out.count("merging the adapter") == 1
    AutoModelForImageTextToText.from_pretrained(folder)
    assert read_asking(folder) == {"model.precision": "float32"}
    assert read_checkpoint(folder.parent).folder == folder.parent


def test_the_card_has_base_data_config_and_results_at_the_checkpoint(adapted_run: Path, tmp_path: Path):
    output = tmp_path / "exported"
    output.mkdir()
    (output / "crash.txt").write_text("An earlier attempt.")
    main(ExportConfig(checkpoint=str(adapted_run / "checkpoints/step_4"), output=str(output)))
    assert not (output / "crash.txt").exists()

    card = (output / "README.md").read_text()
    _, head, body = card.split("---\n", 2)
    assert yaml.safe_load(head)["library_name"] == "transformers"
    for text in (
        "abc123",
        "fingerprint `feed`",
        "| `reward/mean` | 1.5 | 4 |",
        "| `eval/heldout/accuracy` | 0.75 | 4 |",
    ):
        assert text in body
    assert "root: photos" in body


def test_a_full_output_and_a_missing_checkpoint_are_refused(adapted_run: Path, tmp_path: Path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full/file").touch()
    with pytest.raises(ValueError, match="not empty"):
        main(ExportConfig(checkpoint=str(adapted_run), output=str(tmp_path / "full")))
    with pytest.raises(ValueError, match=r"no checkpoint, it has no run\.json"):
        main(ExportConfig(checkpoint=str(tmp_path), output=str(tmp_path / "new")))
