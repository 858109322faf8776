"""How far a training is, in a terminal and in a log."""

import io

import pytest
from rich.console import Console

from launch.run.progress import RunProgress

METRICS = {"reward/mean": 1.5, "reward/box/mean": 0.25, "perf/tokens_per_s": 800.0, "time/step": 2.0}


def test_without_a_terminal_a_run_is_about_twenty_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    progress = RunProgress(100, ["box"])
    for step in range(1, 101):
        progress.show(step, METRICS)
    progress.stop()
    lines = capsys.readouterr().out.splitlines()
    assert 20 <= len(lines) <= 22
    assert lines[0].startswith("step 1/100 · reward 1.50 · box 0.25 · ")
    assert lines[-1].startswith("step 100/100 ")


def test_on_a_terminal_there_is_one_live_line_with_sentences_above_it() -> None:
    output = io.StringIO()
    progress = RunProgress(4, ["box"], Console(file=output, force_terminal=True, width=130))
    progress.show(1, METRICS)
    progress.say("held-out after 1 step: accuracy 0.500")
    progress.stop()
    shown = output.getvalue()
    assert "reward 1.50 · box 0.25 · 800 tok/s · 0:00:06 left" in shown
    assert shown.index("held-out after 1 step") < shown.rindex("1/4")
