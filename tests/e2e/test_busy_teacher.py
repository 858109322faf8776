"""A teacher that is busy for a minute is waited for, and the run is that of a teacher which never was."""

import time
from pathlib import Path

import pytest

from builders.chat_server import Answer, says, serving
from builders.small_runs import FEW, SMALL, Run, finished_run, measured, same_weights

pytestmark = [pytest.mark.slow, pytest.mark.rare]
BUSY: Answer = (429, {"error": "too many requests"}, {"Retry-After": "20"})
WRITTEN = says("<think>Looks even.</think><answer>No.</answer>")


def trained(data: Path, output: Path, *answers: Answer) -> tuple[Run, int]:
    """Train with a teacher that answers one request at a time; return the run and the number of requests."""
    with serving(*answers) as chat:
        teacher = ["kind=endpoint", f"url={chat.url}", "model=large", "max_concurrency=1"]
        options = [*(f"rollout.teacher.{each}" for each in teacher), "algo.contrastive=true", "algo.num_prompts=8"]
        options += ["num_steps=3", f"data.root={data}", f"output={output}", "logging.wandb=disabled"]
        return finished_run(output, *SMALL, *FEW, *options), len(chat.asked)


def test_a_teacher_that_says_429_for_a_minute_costs_a_minute_and_changes_nothing(demo_data: Path, tmp_path: Path):
    began = time.monotonic()
    straight, num_asked = trained(demo_data, tmp_path / "straight", WRITTEN)
    between = time.monotonic()
    # The first answer is to the check before the actors start.
    waited, num_asked_again = trained(demo_data, tmp_path / "waited", WRITTEN, BUSY, BUSY, BUSY, WRITTEN)
    more_s = time.monotonic() - between - (between - began)

    assert "answered 429 (" in waited.output and "it is asked again in 20 s" in waited.output
    assert measured(waited.folder) == measured(straight.folder)
    same_weights(*(run.folder / "checkpoints/step_3/hf" for run in (waited, straight)))
    assert num_asked_again == num_asked + 3 > 4
    print(f"figure: waited for three times 20 s, {more_s:.0f} s longer than with a teacher that was never busy")
