"""A chain of two trainings that was killed between them comes to what an undisturbed one does."""

import json
import signal
from pathlib import Path

import pytest
from safetensors.torch import load_file
from small_runs import FEW, SMALL, assay, kill_all, measured, start

pytestmark = pytest.mark.slow
STAGES = (
    "stages.first.num_steps=2",
    "stages.first.algo.lr=1e-4",
    "stages.second.num_steps=6",
    "stages.second.checkpoint.every=2",
)


def options(data: Path, output: Path, *more: str) -> list[str]:
    return [*SMALL, *FEW, *STAGES, f"data.root={data}", f"output={output}", "logging.wandb=disabled", *more]


@pytest.fixture(scope="module")
def straight(demo_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("straight")
    done = assay("train", *options(demo_data, folder))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["stages"].keys() == {"first", "second"}
    return folder


def test_the_second_stage_starts_from_the_weights_that_the_first_one_learned(straight: Path):
    made = load_file(straight / "1_first/model/model.safetensors")
    learned = load_file(straight / "1_first/checkpoints/step_2/hf/model.safetensors")
    assert all(bool((made[name] == learned[name]).all()) for name in learned)
    before = json.loads((straight / "chain.json").read_text())["done"]["1_first"]["summary"]["heldout_after"]
    after = json.loads((straight / "summary.json").read_text())["heldout_before"]
    assert before == after
    record = json.loads((straight / "2_second/checkpoints/step_6/run.json").read_text())
    assert record["config"]["model"]["path"] == str(straight / "1_first/model")


def test_a_chain_killed_between_its_stages_equals_one_that_was_not(straight: Path, demo_data: Path, tmp_path: Path):
    with start("train", *options(demo_data, tmp_path)) as run:
        run.wait_for(tmp_path / "1_first/summary.json")
        kill_all(run)
    assert "2_second" not in json.loads((tmp_path / "chain.json").read_text())["done"]
    # Wherever the kill hit, a model that is half written.
    torn = tmp_path / "1_first/.model.unfinished"
    torn.mkdir(exist_ok=True)
    (torn / "model.safetensors").write_bytes(b"torn")

    done = assay("train", *options(demo_data, tmp_path, "resume=auto"))

    assert done.returncode == 0, done.stderr
    assert "1_first has done its 2 steps" in done.stdout or "stage 1 of 2, first, is done" in done.stdout
    for stage in ("1_first", "2_second"):
        assert measured(tmp_path / stage) == measured(straight / stage)
        weights, expected = (load_file(folder / stage / "model/model.safetensors") for folder in (tmp_path, straight))
        assert weights.keys() == expected.keys()
        assert all(bool((weights[name] == expected[name]).all()) for name in weights)
    told, expected = (json.loads((folder / "summary.json").read_text()) for folder in (tmp_path, straight))
    assert told["heldout_after"] == expected["heldout_after"] and told["stages"].keys() == expected["stages"].keys()
    print(f"figure: {len(measured(tmp_path / '2_second'))} rows and {len(weights)} tensors identical, bit for bit")


def test_ctrl_c_ends_a_chain_with_the_code_of_its_stage_and_says_how_to_go_on(demo_data: Path, tmp_path: Path):
    with start("train", *options(demo_data, tmp_path, "stages.first.num_steps=500")) as run:
        run.wait_for_step(tmp_path / "1_first", 2)
        # As a terminal does: to the whole group.
        run.signal_group(signal.SIGINT)
        output, _ = run.process.communicate(timeout=120)

    assert run.process.returncode == 130, output[-2000:]
    assert f"resume=auto output={tmp_path} goes on from {tmp_path / '1_first/checkpoints/step_'}" in output
    assert json.loads((tmp_path / "summary.json").read_text())["stopped"].startswith("stage first: stopped by Ctrl-C")
    assert not (tmp_path / "2_second").exists()
