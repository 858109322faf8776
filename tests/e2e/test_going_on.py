"""A run that was cut off goes on as if it had not been."""

import json
import signal
import time
from pathlib import Path

import psutil
import pytest
from safetensors.torch import load_file
from small_runs import FEW, SMALL, assay, kill_all, measured, start

pytestmark = pytest.mark.slow
STEPS = ("num_steps=10", "checkpoint.every=3", "checkpoint.keep_last=5", "eval_every=3", "algo.schedule=linear")


def options(data: Path, output: Path, *more: str) -> list[str]:
    return [*SMALL, *STEPS, f"data.root={data}", f"output={output}", "logging.wandb=disabled", *more]


@pytest.fixture(scope="module")
def straight(demo_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten steps without a break."""
    folder = tmp_path_factory.mktemp("straight")
    done = assay("train", *options(demo_data, folder))
    assert done.returncode == 0, done.stderr
    return folder


def test_a_kill_and_a_truncated_checkpoint_later_the_run_equals_ten_steps_straight_bit_for_bit(
    straight: Path, demo_data: Path, tmp_path: Path
):
    with start("train", *options(demo_data, tmp_path)) as run:
        run.wait_for_step(tmp_path, 7)
        run.wait_for(tmp_path / "checkpoints/step_6")
        kill_all(run)
    assert [path.name for path in sorted((tmp_path / "checkpoints").glob("step_*"))] == ["step_3", "step_6"]
    state = next((tmp_path / "checkpoints/step_6/state").glob("*.distcp"))
    state.write_bytes(state.read_bytes()[:-100])

    done = assay("train", *options(demo_data, tmp_path, "resume=auto"))

    assert done.returncode == 0, done.stderr
    assert "passed over" in done.stdout
    assert measured(tmp_path) == measured(straight)
    weights, expected = (
        load_file(folder / "checkpoints/step_10/hf/model.safetensors") for folder in (tmp_path, straight)
    )
    assert weights.keys() == expected.keys()
    assert all(bool((weights[name] == expected[name]).all()) for name in weights)
    summaries = [json.loads((folder / "summary.json").read_text()) for folder in (tmp_path, straight)]
    assert [summary["heldout_before"] for summary in summaries] == [summaries[0]["heldout_before"]] * 2
    print(f"figure: {len(measured(tmp_path))} rows of metrics and {len(weights)} tensors identical, bit for bit")


def test_a_run_that_has_done_its_steps_says_so_and_ends_well(straight: Path, demo_data: Path):
    done = assay("train", *options(demo_data, straight, "resume=auto"))

    assert done.returncode == 0
    assert "has done its 10 steps; raise num_steps or num_epochs to go on" in done.stdout
    assert json.loads(done.stdout.strip().splitlines()[-1])["steps"] == 10


def test_a_checkpoint_past_the_last_step_is_refused(straight: Path, demo_data: Path):
    done = assay("train", *options(demo_data, straight, "resume=auto", "num_steps=4"))

    assert done.returncode == 1
    assert "is at step 10, past num_steps=4" in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_writes_a_checkpoint_and_ends_cleanly(number: signal.Signals, demo_data: Path, tmp_path: Path):
    more = [*FEW, "num_steps=500", "checkpoint.every=0", "eval_every=0"]
    with start("train", *options(demo_data, tmp_path, *more)) as run:
        run.wait_for_step(tmp_path, 3)
        family = psutil.Process(run.process.pid).children(recursive=True)
        began = time.monotonic()
        # As a terminal does: to the whole group.
        run.signal_group(number)
        output, _ = run.process.communicate(timeout=90)
    assert run.process.returncode == 128 + number, output[-2000:]
    _, alive = psutil.wait_procs(family, timeout=30)
    assert not alive, alive
    (step,) = (tmp_path / "checkpoints").glob("step_*")
    assert f"resume=auto output={tmp_path} goes on from {step}" in output
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert "stopped by" in summary["stopped"]
    print(f"figure: {number.name} to the end of all processes in {time.monotonic() - began:.0f} s")
