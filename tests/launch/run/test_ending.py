"""However a run ends, its record says how, and what is raised is one sentence."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from launch.run.ending import End, Ending, recorded_end
from rl.brake import Brake, Stopped
from rl.faults import ActorBug, RunFailure, UserError


@dataclass(frozen=True, kw_only=True)
class ShortRun:
    """A run that records nothing but its end."""

    folder: Path
    brake: Brake

    def how_far(self) -> str:
        return "after step 3"

    def how_to_go_on(self, error: Exception) -> str:
        return "resume=auto goes on" if isinstance(error, RunFailure) else ""

    def record(self, end: End) -> dict[str, Any]:
        summary = {"steps": 3} | end.entry
        (self.folder / "summary.json").write_text(json.dumps(summary))
        return summary


@pytest.fixture
def run(tmp_path: Path) -> ShortRun:
    return ShortRun(folder=tmp_path, brake=Brake())


def summary(run: ShortRun) -> dict[str, Any]:
    return json.loads((run.folder / "summary.json").read_text())


def test_a_run_that_came_to_its_end_says_nothing_of_it(run):
    with recorded_end(run) as end:
        pass
    assert (end.ending, end.sentence, end.exit_code) == (Ending.done, "", 0)
    assert end.summary == summary(run) == {"steps": 3}


def test_a_run_that_a_signal_stopped_is_no_failure(run):
    with recorded_end(run) as end:
        run.brake.pull("SIGTERM")
        raise Stopped("SIGTERM")
    assert (end.ending, end.sentence, end.exit_code) == (Ending.stopped, "stopped by SIGTERM after step 3", 143)
    assert end.summary == summary(run) == {"steps": 3, "stopped": "stopped by SIGTERM after step 3"}


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (UserError("photo.png: the image\nis damaged"), "photo.png: the image is damaged"),
        (RunFailure("learner 0 died"), "learner 0 died; resume=auto goes on"),
    ],
)
def test_a_failure_is_raised_in_the_sentence_that_is_recorded(error, sentence, run, capsys):
    with pytest.raises(RunFailure) as raised, recorded_end(run):
        raise error
    assert str(raised.value) == sentence and summary(run) == {"steps": 3, "failed": sentence}
    assert not (run.folder / "crash.txt").exists() and capsys.readouterr().err == ""


def test_a_bug_leaves_its_traceback_and_becomes_a_failure_that_names_it(run, capsys):
    with pytest.raises(RunFailure) as raised, recorded_end(run):
        {}["x"]
    crash = run.folder / "crash.txt"
    assert str(raised.value).startswith(
        f"a bug of Assay (KeyError: 'x'); its traceback is in {crash}; please report it"
    )
    assert summary(run)["failed"] == str(raised.value)
    kept = crash.read_text()
    assert '{}["x"]' in kept and kept in capsys.readouterr().err


def test_a_bug_of_an_actor_says_too_how_to_go_on(run):
    with pytest.raises(RunFailure) as raised, recorded_end(run):
        raise ActorBug("learner 1 failed: KeyError: 'x'") from KeyError("x")
    assert str(raised.value).startswith("learner 1 failed: KeyError: 'x'; its traceback is in ")
    assert str(raised.value).endswith("; resume=auto goes on")


def test_a_run_that_is_cut_off_is_recorded_as_failed(run):
    with pytest.raises(KeyboardInterrupt), recorded_end(run):
        raise KeyboardInterrupt
    assert summary(run) == {"steps": 3, "failed": "stopped before the end"}
