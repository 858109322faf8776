"""However a run ends, its record says how, and what is raised is one sentence."""

import errno
import json
import os
import socket
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from builders.locked_folders import place
from launch.run.ending import End, Ending, each_done, recorded_end
from launch.run.place import Place
from rl.brake import Brake, Stopped
from rl.faults import ActorBug, RunFailure, UserError


@dataclass(frozen=True, kw_only=True)
class ShortRun:
    """A run that records nothing but its end."""

    place: Place
    brake: Brake
    record_fails: Exception | None = None

    @property
    def folder(self) -> Path:
        return self.place.folder

    def how_far(self) -> str:
        return "after step 3"

    def how_to_go_on(self, error: Exception) -> str:
        return "resume=auto goes on" if isinstance(error, RunFailure) else ""

    def record(self, end: End) -> dict[str, Any]:
        if self.record_fails:
            raise self.record_fails
        summary = {"steps": 3} | end.entry
        if not end.is_lost:
            (self.folder / "summary.json").write_text(json.dumps(summary))
        return summary


@pytest.fixture
def run(tmp_path: Path) -> ShortRun:
    return ShortRun(place=place(tmp_path), brake=Brake())


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


def test_while_a_run_runs_its_summary_says_so(run):
    with recorded_end(run):
        running = summary(run)["running"]
    assert (running["pid"], running["host"]) == (os.getpid(), socket.gethostname())
    assert datetime.now().astimezone() - datetime.fromisoformat(running["since"]) < timedelta(minutes=1)
    assert "running" not in summary(run)


DISK_FULL = OSError(errno.ENOSPC, "No space left on device", "run/summary.json")
FULL = "[Errno 28] No space left on device: 'run/summary.json'"


def test_a_fault_of_the_record_is_told_beside_the_fault_that_ended_the_run(run):
    with pytest.raises(RunFailure) as raised, recorded_end(replace(run, record_fails=DISK_FULL)):
        raise RunFailure("learner 0 died")
    assert str(raised.value) == f"learner 0 died; resume=auto goes on; besides, {FULL}"
    assert str(raised.value.__cause__) == "learner 0 died"


def test_a_stop_whose_record_cannot_be_written_is_a_failure_that_tells_both(run):
    with pytest.raises(RunFailure) as raised, recorded_end(replace(run, record_fails=DISK_FULL)):
        run.brake.pull("SIGTERM")
        raise Stopped("SIGTERM")
    assert str(raised.value) == f"stopped by SIGTERM after step 3; besides, {FULL}"


def test_a_run_that_came_to_its_end_but_cannot_record_it_has_failed(run):
    with pytest.raises(RunFailure) as raised, recorded_end(replace(run, record_fails=RunFailure("the disk is full"))):
        pass
    assert str(raised.value) == "the disk is full; resume=auto goes on"


@pytest.mark.parametrize("error", [None, RunFailure("learner 0 died"), Stopped("SIGTERM"), KeyError("x")])
def test_a_run_whose_folder_was_moved_away_fails_and_writes_nothing_at_its_old_place(error, run, tmp_path):
    folder, aside = run.folder, tmp_path.with_name(f"{tmp_path.name}_aside")
    with pytest.raises(RunFailure, match=f"in which the run began, was moved to {aside}; "), recorded_end(run):
        folder.rename(aside)
        folder.mkdir()
        if isinstance(error, Stopped):
            run.brake.pull("SIGTERM")
        if error:
            raise error
    assert list(folder.iterdir()) == [] and (aside / "summary.json").exists()


def test_a_record_that_fails_in_a_folder_that_was_moved_leaves_nothing_at_its_old_place(run, tmp_path):
    folder, aside = run.folder, tmp_path.with_name(f"{tmp_path.name}_aside")
    with pytest.raises(RunFailure) as raised, recorded_end(replace(run, record_fails=KeyError("x"))):
        folder.rename(aside)
        folder.mkdir()
    assert f"was moved to {aside}; " in str(raised.value)
    assert "; besides, a bug of Assay (KeyError: 'x'); please report it with the traceback above" in str(raised.value)
    assert list(folder.iterdir()) == []


def test_every_act_is_done_and_the_first_failure_raised():
    done = []

    def fail(number: int) -> None:
        done.append(number)
        raise OSError(f"fault {number}")

    with pytest.raises(OSError, match="fault 1"):
        each_done(lambda: done.append(0), lambda: fail(1), lambda: fail(2), lambda: done.append(3))
    assert done == [0, 1, 2, 3]
