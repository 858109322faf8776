"""The start of a run: refused, anew, or at a whole checkpoint with nothing later around it."""

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from builders.checkpoint_folders import damage, dated, names, write_checkpoint, write_unfinished
from conf.schema import TrainConfig
from launch.run.answers import answers_file
from launch.run.folder import AUTO, CHAIN, default_output, newest_run, run_folder
from launch.run.resume import find_start, finished, how_to_go_on, how_to_resume, prepare, take_over
from rl.checkpoints import RECORD, Checkpoint, read_checkpoint
from rl.evaluation.kept_maps import maps_file
from rl.seals import seal_all

ROOT = Path(__file__).parents[3]
ROW = b'{"step": 0}\n'


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run folder that holds metrics of four rows, and checkpoints after steps 2 and 4."""
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "metrics.jsonl").write_bytes(4 * ROW)
    for step in (2, 4):
        write_checkpoint(folder, step, metrics_bytes=step * len(ROW))
    return folder


def start_of(folder: Path, resume: str = "", num_steps: int = 10) -> tuple[Checkpoint | None, list[str]]:
    said: list[str] = []
    return find_start(TrainConfig(resume=resume, num_steps=num_steps), folder, said.append), said


def refusal(folder: Path, resume: str = "", num_steps: int = 10) -> str:
    with pytest.raises(ValueError) as caught:
        start_of(folder, resume, num_steps)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def advice(folder: Path, start: Checkpoint | None = None, *, made_steps: bool = True) -> str:
    return how_to_resume(folder, start, made_steps=made_steps)


@pytest.mark.parametrize("resume", ["", AUTO])
def test_a_folder_that_holds_predictions_is_refused(tmp_path, resume):
    (tmp_path / "predictions.jsonl").touch()
    assert refusal(tmp_path, resume) == f"output={tmp_path} holds predictions; give another folder"


@pytest.mark.parametrize("resume", ["", AUTO])
def test_a_new_folder_starts_anew(tmp_path, resume):
    assert start_of(tmp_path, resume) == (None, [])


def test_a_folder_that_holds_a_run_is_refused(run):
    assert "holds a run; resume=auto goes on with it, or give another folder" in refusal(run)


def test_a_folder_that_holds_checkpoints_alone_is_refused_too(run):
    (run / "metrics.jsonl").unlink()
    assert "holds a run" in refusal(run)


def test_auto_goes_on_from_the_newest(run):
    start, said = start_of(run, AUTO)
    assert start == read_checkpoint(run / "checkpoints/step_4") and said == []


def test_auto_passes_over_a_damaged_newest_and_says_so(run):
    damage(run / "checkpoints/step_4")
    start, (sentence,) = start_of(run, AUTO)
    assert start and start.folder.name == "step_2"
    assert sentence.startswith("passed over: ") and "step_4" in sentence


def test_auto_never_starts_anew_over_checkpoints_that_it_cannot_read(run):
    for step in (2, 4):
        damage(run / f"checkpoints/step_{step}")
    assert "none of its checkpoints can be read" in refusal(run, AUTO)
    assert names(run) == ["step_2", "step_4"]


def test_auto_starts_anew_and_says_so_where_no_checkpoint_was_written(run):
    for step in (2, 4):
        shutil.rmtree(run / f"checkpoints/step_{step}")
    start, said = start_of(run, AUTO)
    assert start is None and said == [f"{run} has no checkpoint; the run starts anew"]


def test_a_folder_in_which_nothing_was_recorded_is_as_good_as_new(tmp_path):
    (tmp_path / "metrics.jsonl").touch()
    assert start_of(tmp_path, "") == (None, [])


@pytest.mark.parametrize("path", [".", "checkpoints/step_4"])
def test_a_path_is_that_of_a_run_or_of_a_checkpoint(run, tmp_path, path):
    start, _ = start_of(tmp_path / "new", str(run / path))
    assert start and start.folder.name == "step_4"


def test_a_path_of_ones_own_newest_checkpoint_goes_on(run):
    start, _ = start_of(run, str(run / "checkpoints/step_4"))
    assert start and start.folder.name == "step_4"


def test_a_path_without_a_checkpoint_is_refused(run, tmp_path):
    assert f"there is no folder '{tmp_path}/nowhere'" in refusal(tmp_path / "new", str(tmp_path / "nowhere"))
    assert "it has no run.json" in refusal(tmp_path / "new", str(tmp_path))
    for step in (2, 4):
        damage(run / f"checkpoints/step_{step}")
    assert "no checkpoint of that run is whole" in refusal(tmp_path / "new", str(run))
    assert "is not whole" in refusal(tmp_path / "new", str(run / "checkpoints/step_2"))


@pytest.mark.parametrize("resume", [AUTO, "run"])
def test_a_checkpoint_past_the_last_step_is_refused(run, resume):
    resume = AUTO if resume == AUTO else str(run)
    assert "step_4 is at step 4, past num_steps=3; raise num_steps" in refusal(run, resume, num_steps=3)
    start, _ = start_of(run, resume, num_steps=4)
    assert start


def test_later_checkpoints_of_the_same_folder_are_refused(run):
    sentence = refusal(run, str(run / "checkpoints/step_2"))
    assert "has later checkpoints than step_2, up to step_4; give another output=" in sentence


def test_a_branch_into_the_folder_of_another_run_is_refused(run, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "metrics.jsonl").write_bytes(ROW)
    assert f"output={other} holds another run than" in refusal(other, str(run))


def test_the_metrics_end_where_they_did_when_the_checkpoint_was_taken(run):
    (run / "summary.json").write_text("{}")
    write_unfinished(run, 6)
    assert take_over(run) == 1
    prepare(run, read_checkpoint(run / "checkpoints/step_2"), print)
    assert (run / "metrics.jsonl").read_bytes() == 2 * ROW
    assert not (run / "summary.json").exists()
    assert not [name for name in names(run) if "unfinished" in name]


def test_a_run_that_starts_anew_has_no_metrics_yet(run):
    prepare(run, None, print)
    assert (run / "metrics.jsonl").read_bytes() == b""


def test_a_branch_takes_along_what_was_recorded_and_leaves_its_origin_alone(run, tmp_path):
    first = answers_file(run, "heldout", 0)
    first.parent.mkdir()
    first.write_text("the first answers\n")
    maps_file(run, 0).write_bytes(b"the first maps")
    branch = tmp_path / "branch"
    branch.mkdir()
    prepare(branch, read_checkpoint(run / "checkpoints/step_2"), print)
    assert (branch / "metrics.jsonl").read_bytes() == 2 * ROW
    assert answers_file(branch, "heldout", 0).read_text() == "the first answers\n"
    assert maps_file(branch, 0).read_bytes() == b"the first maps"
    assert (run / "metrics.jsonl").read_bytes() == 4 * ROW
    assert names(run) == ["step_2", "step_4"]


def test_first_answers_that_changed_are_set_aside_and_said(run):
    first = answers_file(run, "heldout", 0)
    first.parent.mkdir()
    first.write_text("the first answers\n")
    write_checkpoint(run, 6, metrics_bytes=0, beside=seal_all(run, [first]))
    first.write_text("the first answer5\n")
    said: list[str] = []
    prepare(run, read_checkpoint(run / "checkpoints/step_6"), said.append)
    assert said == [
        f"{first} is not what was written; it is set aside as {first.name}.damaged, and the report goes without it"
    ]
    assert not first.exists()


def test_a_checkpoint_is_refused_whose_metrics_are_those_of_another_run(run):
    write_checkpoint(run, 6, metrics_bytes=2 * len(ROW), metrics_chain="0123456789abcdef")
    assert "not the rows that step_6 had recorded" in refusal(run, AUTO)


def test_a_branch_of_a_run_without_answers_starts_without(run, tmp_path):
    branch = tmp_path / "branch"
    branch.mkdir()
    prepare(branch, read_checkpoint(run / "checkpoints/step_2"), print)
    assert not answers_file(branch, "heldout", 0).exists()


def test_a_damaged_checkpoint_that_was_passed_over_is_set_aside(run):
    damage(run / "checkpoints/step_4")
    start, _ = start_of(run, AUTO)
    prepare(run, start, print)
    assert names(run) == ["step_2", "step_4.damaged"]


@pytest.mark.parametrize("resume", [AUTO, "run"])
def test_a_checkpoint_whose_run_lost_its_metrics_is_refused(run, tmp_path, resume):
    (run / "metrics.jsonl").write_bytes(ROW)
    folder = run if resume == AUTO else tmp_path / "new"
    assert "metrics.jsonl" in refusal(folder, AUTO if resume == AUTO else str(run))
    (run / "metrics.jsonl").unlink()
    assert "metrics.jsonl" in refusal(folder, AUTO if resume == AUTO else str(run))


SUMMARIES = {
    "done": {"steps": 4},
    "failed": {"steps": 4, "failed": "x"},
    "stopped": {"steps": 4, "stopped": "x"},
    "killed": {"running": {"since": "2026-01-31", "pid": 7, "host": "node1"}},
}


@pytest.mark.parametrize("ending", SUMMARIES)
def test_only_a_run_that_ended_well_has_nothing_left_to_do(run, ending):
    start = read_checkpoint(run / "checkpoints/step_4")
    (run / "summary.json").write_text(json.dumps(SUMMARIES[ending]))
    assert finished(run, start, 4) == (SUMMARIES["done"] if ending == "done" else None)


def test_a_run_has_steps_left_without_a_summary_a_checkpoint_or_the_last_step(run):
    start = read_checkpoint(run / "checkpoints/step_4")
    assert finished(run, start, 4) is None
    (run / "summary.json").write_text(json.dumps(SUMMARIES["done"]))
    assert finished(run, None, 4) is None
    assert finished(run, start, 5) is None
    assert finished(run, replace(start, folder=run / "checkpoints/step_2"), 4) == SUMMARIES["done"]


@pytest.mark.parametrize("left", ["", '{"output": "ru', "\0" * 40], ids=["empty", "cut", "zeros"])
def test_a_run_whose_summary_a_power_loss_has_cut_writes_it_anew(run, left):
    (run / "summary.json").write_text(left)
    assert finished(run, read_checkpoint(run / "checkpoints/step_4"), 4) is None


def test_how_to_resume_names_the_newest_checkpoint_or_how_to_get_one(run, tmp_path):
    assert advice(run) == f"the same command with resume=auto output={run} goes on from {run}/checkpoints/step_4"
    assert "has no checkpoint yet; checkpoint.every=N" in advice(tmp_path)


def test_nothing_is_lost_before_the_first_step_and_the_same_command_starts_anew(tmp_path):
    (tmp_path / "metrics.jsonl").touch()
    (tmp_path / "summary.json").write_text("{}")
    assert advice(tmp_path, made_steps=False) == "nothing is lost: the same command starts anew"
    assert start_of(tmp_path) == (None, [])


def test_after_an_evaluation_alone_the_same_command_is_refused_unless_it_resumes(tmp_path):
    (tmp_path / "metrics.jsonl").write_bytes(ROW)
    advised = f"resume=auto output={tmp_path}"
    assert advice(tmp_path, made_steps=False) == f"nothing is lost: the same command with {advised} starts anew"
    assert "holds a run" in refusal(tmp_path)
    assert start_of(tmp_path, AUTO) == (None, [f"{tmp_path} has no checkpoint; the run starts anew"])
    prepare(tmp_path, None, print)
    assert (tmp_path / "metrics.jsonl").read_bytes() == b""


def test_a_branch_that_made_no_step_starts_again_in_a_new_folder(run, tmp_path):
    branch, start = tmp_path / "branch", read_checkpoint(run / "checkpoints/step_4")
    branch.mkdir()
    prepare(branch, start, print)
    lost = f"nothing is lost: the same command with a new output= starts again from {start.folder}"
    assert advice(branch, start, made_steps=False) == lost
    assert "holds another run" in refusal(branch, str(run))
    assert start_of(tmp_path / "new", str(run)) == (start, [])


HOLD = """
import sys
from launch.run.folder import run_folder
with run_folder(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_folder_is_held_against_another_process_as_long_as_that_lives(tmp_path):
    command = [sys.executable, "-c", HOLD, str(tmp_path / "run")]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout and other.stdout.readline() == "held\n"
        with pytest.raises(ValueError, match="another process runs in it; wait for it or give another folder"):
            with run_folder(str(tmp_path / "run")):
                pass
        other.kill()
        other.wait(timeout=30)
    with run_folder(str(tmp_path / "run")) as folder:
        assert folder == tmp_path / "run"


def test_a_folder_is_made_with_its_parents_and_free_again_afterwards(tmp_path):
    for _ in range(2):
        with run_folder(str(tmp_path / "a/b")) as folder:
            assert folder.is_dir()


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    for output in (tmp_path / "file", tmp_path / "file/run"):
        with pytest.raises(ValueError) as caught, run_folder(str(output)):
            pass
        assert str(caught.value).startswith(f"output={output}: cannot be written (")
        assert str(caught.value).endswith("); give another folder")


NOW = time.time()


def test_a_run_is_named_by_the_time_unless_it_goes_on_with_the_newest(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert default_output("demo", "now", AUTO) == default_output("demo", "now", "") == "runs/demo/now"
    for age, name in enumerate(["b", "c", "a"]):
        dated(write_checkpoint(tmp_path / "runs/demo" / name, 5) / RECORD, NOW - age)
    write_checkpoint(tmp_path / "runs/other/z", 5)
    (tmp_path / "runs/demo/d").mkdir()
    assert default_output("demo", "now", AUTO) == "runs/demo/b"
    assert default_output("demo", "now", "") == default_output("demo", "now", "runs/demo/b") == "runs/demo/now"
    assert newest_run(tmp_path / "nowhere") is None


def test_a_chain_is_as_new_as_the_newest_checkpoint_of_its_stages(tmp_path):
    for age, name in enumerate(["chain/2_rl", "run", "chain/1_sft"]):
        dated(write_checkpoint(tmp_path / name, 5) / RECORD, NOW - age)
    assert newest_run(tmp_path) == tmp_path / "run"
    dated(tmp_path / "chain" / CHAIN, NOW - 1e8)
    assert newest_run(tmp_path) == tmp_path / "chain"


@pytest.mark.parametrize("days", [-3650, 365])
def test_the_times_of_files_do_not_decide_which_run_is_the_newest(days, tmp_path):
    write_checkpoint(tmp_path / "older", 9)
    write_checkpoint(tmp_path / "newer", 5)
    touched = tmp_path / ("older" if days > 0 else "newer")
    for path in (*touched.rglob("*"), touched):
        os.utime(path, (NOW + days * 86400,) * 2)
    assert newest_run(tmp_path) == tmp_path / "newer"


@pytest.mark.parametrize("written_at", [NOW + 365 * 86400, -5.0, "soon", None, float("nan"), 0], ids=range(6))
def test_a_time_that_cannot_be_is_no_time(written_at, tmp_path):
    dated(write_checkpoint(tmp_path / "strange", 9) / RECORD, written_at)
    dated(write_checkpoint(tmp_path / "known", 5) / RECORD, NOW - 1e8)
    assert newest_run(tmp_path) == tmp_path / "known"


def test_a_damaged_record_makes_no_run_the_newest(tmp_path):
    (write_checkpoint(tmp_path / "z", 9) / RECORD).write_bytes(b"\xff[")
    assert newest_run(tmp_path) == tmp_path / "z"
    write_checkpoint(tmp_path / "a", 5)
    assert newest_run(tmp_path) == tmp_path / "a"


def test_a_run_in_the_folder_of_a_chain_is_refused(tmp_path):
    (tmp_path / CHAIN).write_text("{}")
    with pytest.raises(ValueError, match=f"output={tmp_path} holds a chain; name its stages, or give another folder"):
        find_start(TrainConfig(resume=AUTO), tmp_path, print)
    stage = tmp_path / "2_rl"
    assert how_to_go_on(stage) == f"resume=auto output={tmp_path}"
    assert how_to_go_on(tmp_path) == f"output={tmp_path}"
    assert advice(stage) == f"the same command with resume=auto output={tmp_path} goes on from the start of 2_rl"
    step = write_checkpoint(stage, 5)
    assert advice(stage) == f"the same command with resume=auto output={tmp_path} goes on from {step}"
