"""`assay predict` asks a model by its hub id, and a run that trained an adapter, as it asks a model folder."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from builders.small_runs import FEW, ROOT, THREE_STEPS, assay, finished_run

pytestmark = [pytest.mark.slow, pytest.mark.rare]

REVISION = "0" * 40
ADAPTED = ("model.lora.rank=4", "model.freeze_vision=true", "model.freeze_projector=true", "checkpoint.every=3")


@pytest.fixture(scope="module")
def photos(demo_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder of six photos."""
    folder = tmp_path_factory.mktemp("photos")
    for photo in sorted((demo_data / "leather/test").glob("*/*.png"))[::2][:6]:
        shutil.copy(photo, folder / f"{photo.parent.name}_{photo.name}")
    return folder


def predicted(model: str, photos: Path, demo_data: Path, output: Path, **env: str) -> tuple[list[dict[str, Any]], str]:
    """Return the lines of the predictions, and what the terminal said."""
    reference = sorted((demo_data / "leather/train/good").glob("*.png"))[0]
    options = [f"input={photos}", f"reference={reference}", f"output={output}", "model.precision=fp32"]
    done = assay("predict", f"model={model}", *options, env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    return [json.loads(line) for line in (output / "predictions.jsonl").read_text().splitlines()], done.stdout


def test_a_hub_id_is_answered_from_the_cache_like_its_folder(photos: Path, demo_data: Path, tmp_path: Path):
    cached = tmp_path / "hub/models--somebody--starter"
    shutil.copytree(ROOT / "models/starter", cached / "snapshots" / REVISION)
    (cached / "refs").mkdir()
    (cached / "refs/main").write_text(REVISION)
    offline = {"HF_HUB_CACHE": str(tmp_path / "hub"), "HF_HUB_OFFLINE": "1"}
    by_folder, _ = predicted("starter", photos, demo_data, tmp_path / "folder")
    by_id, said = predicted("somebody/starter", photos, demo_data, tmp_path / "id", **offline)
    assert "somebody/starter is asked as in its training:" in said
    assert len(by_id) == 6 and by_id == by_folder


def test_a_run_that_trained_an_adapter_answers_like_its_export(photos: Path, demo_data: Path, tmp_path: Path):
    run, exported = tmp_path / "run", tmp_path / "exported"
    finished_run(run, *THREE_STEPS, *FEW, *ADAPTED, f"data.root={demo_data}", f"output={run}")
    by_run, said = predicted(str(run), photos, demo_data, tmp_path / "by_run")
    assert "merging the adapter of" in said
    assert assay("export", f"checkpoint={run}", f"output={exported}").returncode == 0
    by_export, _ = predicted(str(exported), photos, demo_data, tmp_path / "by_export")
    assert len(by_run) == 6 and by_run == by_export
