"""A run whose reward function hangs in a regular expression or leaves its process says so, ends, and can go on."""

import re
import time
from pathlib import Path

import psutil
import pytest

from builders.faulty_reward import FAULT
from builders.small_runs import FEW, SMALL, finished_run, measured, newest_step, same_weights, start

pytestmark = [pytest.mark.slow, pytest.mark.rare]
TOLD = {
    "regex": "no answer in reward.timeout_s=2 s",
    "exit": "its process exited with code 3; a function of reward.functions has to return",
}


def options(data: Path, output: Path) -> list[str]:
    reward = ["reward.functions=[{path: builders.faulty_reward.brevity, weight: 0.5}]", "reward.timeout_s=2"]
    run = ["num_steps=10", "checkpoint.every=2", "eval_every=0", f"data.root={data}", f"output={output}"]
    return [*SMALL, *FEW, *reward, *run, "logging.wandb=disabled", "resume=auto"]


def running(switch: Path) -> list[psutil.Process]:
    """List the processes of the runs that read this switch."""
    processes = psutil.process_iter(["cmdline", "environ"])
    return [process for process in processes if (process.info["environ"] or {}).get(FAULT) == str(switch)]


@pytest.mark.parametrize("fault", TOLD)
def test_a_run_ends_soon_after_a_function_broke_and_equals_a_straight_one_once_it_is_mended(
    fault: str, demo_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    switch, broken, straight = (tmp_path / name for name in ("switch", "broken", "straight"))
    switch.write_text("")
    monkeypatch.setenv(FAULT, str(switch))
    with start("train", *options(demo_data, broken)) as run:
        run.wait_for_step(broken, 3)
        assert any("calling.py" in " ".join(process.info["cmdline"]) for process in running(switch))
        switch.write_text(fault)
        began = time.monotonic()
        output, _ = run.process.communicate(timeout=120)
        seconds = time.monotonic() - began

    assert run.process.returncode == 1, output[-2000:]
    sentence = output.strip().splitlines()[-1]
    assert re.search(rf"reward brevity on sample \S.*: {re.escape(TOLD[fault])}\)", sentence), sentence
    assert f"resume=auto output={broken} goes on from {broken}/checkpoints/step_{newest_step(broken)}" in sentence
    assert "Traceback" not in output
    left = psutil.wait_procs(running(switch), timeout=30)[1]
    assert seconds < 60 and not left, left

    switch.write_text("")
    mended, whole = (finished_run(folder, *options(demo_data, folder)) for folder in (broken, straight))
    assert measured(mended.folder) == measured(whole.folder)
    num_tensors = same_weights(*(run.folder / "checkpoints/step_10/hf" for run in (mended, whole)))
    print(f"figure: {fault}: ended in {seconds:.0f} s, no process left; mended, {num_tensors} tensors identical")
