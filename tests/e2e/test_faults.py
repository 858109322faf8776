"""A run whose actor dies or hangs ends soon, names the actor and its node, leaves no process, and can go on.

test_going_on.py has the death of a learner.
"""

import json
import re
import time
from pathlib import Path

import pytest

from builders.small_runs import FEW, SMALL, actor_among, children, finished_run, newest_step, start, still_alive

pytestmark = [pytest.mark.slow, pytest.mark.rare]
ACTORS = {
    "rollout worker": "RolloutWorker",
    "reward worker": "RewardWorker",
    "reference": "ReferencePolicy",
}


def options(data: Path, output: Path, *more: str) -> list[str]:
    return [*SMALL, f"data.root={data}", f"output={output}", "logging.wandb=offline", "checkpoint.every=2", *more]


def test_a_killed_actor_of_each_kind_ends_the_run_which_then_goes_on(demo_data: Path, tmp_path: Path):
    done = 0
    for kind in ACTORS:
        with start("train", *options(demo_data, tmp_path, "num_steps=200", "resume=auto")) as run:
            run.wait_for_step(tmp_path, done + 3)
            family = children(run)
            victim = actor_among(family, ACTORS[kind])
            began = time.monotonic()
            victim.kill()
            output, _ = run.process.communicate(timeout=90)
            seconds = time.monotonic() - began
        alive = still_alive(family, 60 - seconds)

        assert run.process.returncode == 1, output[-2000:]
        assert seconds < 60 and not alive, alive
        sentence = output.strip().splitlines()[-1]
        who = rf"assay train: {kind} \d \(node [^,]+, pid {victim.pid}, log /.*\.err\) died"
        assert re.match(who, sentence), sentence
        step = newest_step(tmp_path)
        assert f"resume=auto output={tmp_path} goes on from {tmp_path}/checkpoints/step_{step}" in sentence
        assert "Traceback" not in output
        assert kind in json.loads((tmp_path / "summary.json").read_text())["failed"]
        print(f"figure: a killed {kind} ended the run and all its processes in {seconds:.0f} s")
        assert step > done
        done = step

    whole = finished_run(tmp_path, *options(demo_data, tmp_path, "resume=auto", f"num_steps={done + 2}"))
    assert whole.summary["steps"] == done + 2
    assert sorted({row["step"] for row in whole.rows}) == list(range(done + 3))


def test_a_hung_actor_ends_the_run_after_the_timeout_of_a_call(demo_data: Path, tmp_path: Path):
    more = [*FEW, "num_steps=200", "cluster.call_timeout_s=15"]
    with start("train", *options(demo_data, tmp_path, *more)) as run:
        run.wait_for_step(tmp_path, 3)
        family = children(run)
        actor_among(family, "Learner").suspend()
        began = time.monotonic()
        output, _ = run.process.communicate(timeout=120)

    assert run.process.returncode == 1
    assert re.search(r"learner \d \(.*\) gave no answer in 15 s; .*cluster\.call_timeout_s", output), output[-2000:]
    assert time.monotonic() - began < 60
    assert not still_alive(family, 30)
