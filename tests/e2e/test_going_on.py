"""A run that is stopped, loses an actor, is killed and finds its checkpoint truncated equals one without a break."""

import json
import re
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from builders.small_runs import (
    TEN_STEPS,
    Run,
    Started,
    actor_among,
    assay,
    children,
    finished_run,
    kill_all,
    measured,
    newest_step,
    same_weights,
    start,
    still_alive,
)

pytestmark = pytest.mark.slow


@dataclass(frozen=True, kw_only=True)
class Ended:
    """End of an interrupted run; the next run goes on in its folder."""

    folder: Path
    code: int
    output: str
    seconds: float
    """Seconds from the interruption to the end of all processes."""
    step: int
    """Step of its newest checkpoint."""
    summary: dict[str, Any]
    killed_pid: int = 0


def ended(run: Started, folder: Path, family: list[psutil.Process], began: float, killed_pid: int = 0) -> Ended:
    """Wait for the end of a run and of all its processes."""
    output, _ = run.process.communicate(timeout=90)
    assert not still_alive(family, 30)
    return Ended(
        folder=folder,
        code=run.process.returncode,
        output=output,
        seconds=time.monotonic() - began,
        step=newest_step(folder),
        summary=json.loads((folder / "summary.json").read_text()),
        killed_pid=killed_pid,
    )


def options(data: Path, output: Path) -> list[str]:
    return [*TEN_STEPS, f"data.root={data}", f"output={output}", "logging.wandb=disabled", "resume=auto"]


@pytest.fixture(scope="module")
def stopped(demo_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Ended:
    """Send SIGTERM in the second step or soon after to a run without regular checkpoints."""
    folder = tmp_path_factory.mktemp("going_on")
    with start("train", *options(demo_data, folder), "checkpoint.every=0") as run:
        run.wait_for_step(folder, 1)
        family, began = children(run), time.monotonic()
        # To the whole process group, as a scheduler sends it.
        run.signal_group(signal.SIGTERM)
        return ended(run, folder, family, began)


@pytest.fixture(scope="module")
def bereft(stopped: Ended, demo_data: Path) -> Ended:
    """Kill a learner a step after the next checkpoint."""
    folder = stopped.folder
    with start("train", *options(demo_data, folder)) as run:
        assert stopped.step < 6, "the run was stopped too late for this test: the machine is too slow"
        # A step after the next checkpoint.
        run.wait_for_step(folder, 3 * (stopped.step // 3) + 4)
        family = children(run)
        victim, began = actor_among(family, "Learner"), time.monotonic()
        victim.kill()
        return ended(run, folder, family, began, victim.pid)


@pytest.fixture(scope="module")
def finished(bereft: Ended, demo_data: Path) -> Run:
    """Kill all processes, truncate the newest checkpoint, and let the run finish."""
    folder = bereft.folder
    with start("train", *options(demo_data, folder)) as run:
        run.wait_for(folder / "checkpoints/step_6")
        run.wait_for_step(folder, 7)
        kill_all(run)
    assert newest_step(folder) == 6
    state = next((folder / "checkpoints/step_6/state").glob("*.distcp"))
    state.write_bytes(state.read_bytes()[:-100])
    return finished_run(folder, *options(demo_data, folder))


def going_on(run: Ended) -> str:
    return f"resume=auto output={run.folder} goes on from {run.folder}/checkpoints/step_{run.step}"


def test_sigterm_writes_a_checkpoint_and_ends_all_processes(stopped: Ended):
    assert stopped.code == 128 + signal.SIGTERM, stopped.output[-2000:]
    assert going_on(stopped) in stopped.output
    assert "stopped by" in stopped.summary["stopped"]
    print(f"figure: SIGTERM to the end of all processes in {stopped.seconds:.0f} s")


def test_a_killed_learner_ends_the_run_and_says_how_to_go_on(bereft: Ended):
    assert bereft.code == 1, bereft.output[-2000:]
    assert bereft.seconds < 60
    sentence = bereft.output.strip().splitlines()[-1]
    who = rf"assay train: learner \d \(node [^,]+, pid {bereft.killed_pid}, log /.*\.err\) died"
    assert re.match(who, sentence), sentence
    assert going_on(bereft) in sentence and "learner" in bereft.summary["failed"]
    assert "Traceback" not in bereft.output
    print(f"figure: a killed learner ended the run and all its processes in {bereft.seconds:.0f} s")


def test_the_interrupted_run_equals_ten_steps_straight_bit_for_bit(finished: Run, small_run: Run):
    assert "passed over" in finished.output
    rows = measured(finished.folder)
    assert rows == measured(small_run.folder)
    num_tensors = same_weights(*(run.folder / "checkpoints/step_10/hf" for run in (finished, small_run)))
    assert finished.summary["heldout_before"] == small_run.summary["heldout_before"]
    print(f"figure: {len(rows)} rows of metrics and {num_tensors} tensors identical, bit for bit")


def test_a_run_that_has_done_its_steps_says_so_and_exits_with_0(finished: Run, demo_data: Path):
    done = assay("train", *options(demo_data, finished.folder))

    assert done.returncode == 0
    assert "has done its 10 steps; raise num_steps or num_epochs to go on" in done.stdout
    assert json.loads(done.stdout.strip().splitlines()[-1])["steps"] == 10


def test_a_checkpoint_past_the_last_step_is_refused(finished: Run, demo_data: Path):
    done = assay("train", *options(demo_data, finished.folder), "num_steps=4")

    assert done.returncode == 2
    assert "is at step 10, past num_steps=4" in done.stderr and done.stderr.count("\n") == 1
