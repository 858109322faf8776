"""A chain of two trainings goes on after a stop in a stage and after a kill between stages, to the same result."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from builders.small_runs import (
    FEW,
    SMALL,
    Run,
    children,
    finished_run,
    kill_all,
    measured,
    same_weights,
    start,
    still_alive,
    weights_of,
)

pytestmark = pytest.mark.slow
CHAIN = (*SMALL, *FEW, "stages.first.algo.lr=1e-4", "stages.second.checkpoint.every=2", "logging.wandb=disabled")


def options(data: Path, output: Path, *more: str) -> list[str]:
    steps = ["stages.first.num_steps=8", "stages.second.num_steps=3"]
    return [*CHAIN, *steps, f"data.root={data}", f"output={output}", "resume=auto", *more]


def chain_of(folder: Path) -> dict[str, Any]:
    """Read the record of the finished stages."""
    return json.loads((folder / "chain.json").read_text())["done"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("chain")


@pytest.fixture(scope="module")
def stopped(demo_data: Path, folder: Path) -> tuple[int, str, str, bool]:
    """Interrupt the first stage; return exit code, output, the summary's sentence, and True if stage 2 has a folder."""
    with start("train", *options(demo_data, folder)) as run:
        run.wait_for_step(folder / "1_first", 2)
        family = children(run)
        # To the whole process group, as a terminal sends it.
        run.signal_group(signal.SIGINT)
        output, _ = run.process.communicate(timeout=120)
        assert not still_alive(family, 30)
    said = json.loads((folder / "summary.json").read_text())["stopped"]
    return run.process.returncode, output, said, (folder / "2_second").exists()


@pytest.fixture(scope="module")
def finished(stopped: Any, demo_data: Path, folder: Path) -> Run:
    return finished_run(folder, *options(demo_data, folder))


def test_ctrl_c_ends_the_chain_with_its_code_and_says_how_to_go_on(stopped, folder: Path):
    code, output, said, begun = stopped
    assert code == 130, output[-2000:]
    assert f"resume=auto output={folder} goes on from {folder / '1_first/checkpoints/step_'}" in output
    assert said.startswith("stage first: stopped by Ctrl-C") and not begun


def test_started_again_it_resumes_the_first_stage_and_does_the_second(finished: Run):
    assert finished.summary["stages"].keys() == {"first", "second"}
    assert [row["step"] for row in measured(finished.folder / "1_first") if "actor/loss" in row] == list(range(1, 9))


def test_the_second_stage_starts_from_the_weights_of_the_first(finished: Run):
    folder = finished.folder
    made = weights_of(folder / "1_first/model")
    learned = weights_of(folder / "1_first/checkpoints/step_8/hf")
    assert all(made[name].equal(tensor) for name, tensor in learned.items())
    before = chain_of(folder)["1_first"]["summary"]["heldout_after"]
    assert before == json.loads((folder / "summary.json").read_text())["heldout_before"]
    record = json.loads((folder / "2_second/checkpoints/step_3/run.json").read_text())
    assert record["config"]["model"]["path"] == str(folder / "1_first/model")


@pytest.mark.rare
def test_a_chain_killed_between_its_stages_equals_one_without_a_break(demo_data: Path, tmp_path: Path):
    short = ("stages.first.num_steps=2", "stages.second.num_steps=6")
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    expected = finished_run(straight, *options(demo_data, straight, *short)).summary
    with start("train", *options(demo_data, killed, *short)) as run:
        run.wait_for(killed / "1_first/summary.json")
        kill_all(run)
    assert "2_second" not in chain_of(killed)
    # A half-written model, wherever the kill hit.
    torn = killed / "1_first/.model.unfinished"
    torn.mkdir(exist_ok=True)
    (torn / "model.safetensors").write_bytes(b"torn")

    done = finished_run(killed, *options(demo_data, killed, *short))

    assert "1_first has done its 2 steps" in done.output or "stage 1 of 2, first, is done" in done.output
    for stage in ("1_first", "2_second"):
        assert measured(killed / stage) == measured(straight / stage)
        num_tensors = same_weights(killed / stage / "model", straight / stage / "model")
    assert done.summary["heldout_after"] == expected["heldout_after"]
    assert done.summary["stages"].keys() == expected["stages"].keys()
    print(f"figure: {len(measured(killed / '2_second'))} rows and {num_tensors} tensors identical, bit for bit")
