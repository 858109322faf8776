"""Members of a sweep share a cluster; a scripted server stands in for Ray's."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from actors.placement import Machine
from conf.schema import TrainConfig
from launch.__main__ import assay
from launch.jobs import ray_launcher
from launch.jobs.ray_launcher import MemberJob, room_for, run_side_by_side
from launch.jobs.server import JobState
from launch.jobs.submission import Submission
from rl.faults import RunFailure

CLUSTER = replace(TrainConfig().cluster, num_learners=2, cpus_per_actor=1.0, cpus_per_reward_worker=1.0)


@dataclass
class ScriptedServer:
    """Server that ends each job as its command says, after `patience` requests for its state."""

    patience: int = 1
    asked: dict[str, int] = field(default_factory=dict)
    commands: dict[str, str] = field(default_factory=dict)
    stopped: list[str] = field(default_factory=list)
    most: int = 0

    def submit(self, submission: Submission) -> str:
        job_id = f"job{len(self.asked)}"
        self.asked[job_id] = 0
        self.commands[job_id] = submission.entrypoint
        self.most = max(self.most, sum(count < self.patience for count in self.asked.values()))
        return job_id

    def state(self, job_id: str) -> JobState:
        if self.commands[job_id] == "interrupt":
            raise KeyboardInterrupt
        self.asked[job_id] += 1
        if job_id in self.stopped:
            return JobState(status="STOPPED", exit_code=143, message="")
        if self.asked[job_id] < self.patience:
            return JobState(status="RUNNING", exit_code=None, message="")
        return JobState(status="ENDED", exit_code=int(self.commands[job_id] != "good"), message="the node died")

    def patiently(self, ask: Callable[[], Any]) -> Any:
        return ask()

    def log(self, job_id: str) -> str:
        return {
            "good": 'step 1/1\n{"reward_last": 2.5}\n',
            "stopped": "step 1/1\n",
            "bad": "step 1/1\nassay train: photos/1.png is corrupt; remove it\n",
        }.get(self.commands[job_id], "")

    def dashboard(self, job_id: str) -> str:
        return job_id

    def ask_to_stop(self, job_id: str) -> None:
        self.stopped.append(job_id)

    def stop(self, job_id: str) -> JobState:
        return (
            self.state(job_id)
            if self.commands[job_id] != "interrupt"
            else JobState(status="STOPPED", exit_code=143, message="")
        )


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr(ray_launcher, "POLL_S", 0.0)


def members(folder: Path, *commands: str) -> list[MemberJob]:
    return [
        MemberJob(
            number=number,
            overrides=[f"seed={number}"],
            config=TrainConfig(output=str(folder / str(number))),
            submission=Submission(entrypoint=command, runtime_env={}),
        )
        for number, command in enumerate(commands)
    ]


def summaries(folder: Path) -> dict[str, Any]:
    return {file.parent.name: json.loads(file.read_text()) for file in folder.glob("*/summary.json")}


@pytest.mark.parametrize("most", [1, 2, 5])
def test_no_more_members_run_at_once_than_asked(most, tmp_path):
    server = ScriptedServer(patience=3)
    run_side_by_side(server, members(tmp_path, *["good"] * 5), most)
    assert (len(server.asked), server.most) == (5, most)


def test_a_member_that_fails_is_named_and_stops_no_other(tmp_path, capsys):
    run_side_by_side(ScriptedServer(), members(tmp_path, "good", "bad", "dies", "good"), 2)
    assert summaries(tmp_path) == {
        "0": {"reward_last": 2.5},
        "1": {"failed": "photos/1.png is corrupt; remove it"},
        "2": {"failed": "the node died"},
        "3": {"reward_last": 2.5},
    }
    assert "sweep member 1 failed: photos/1.png is corrupt; remove it\n" in capsys.readouterr().out


def test_a_member_that_was_stopped_stops_no_other(tmp_path, capsys):
    waiting = members(tmp_path, "good", "stopped", "good")
    waiting[1].folder.mkdir()
    (waiting[1].folder / "summary.json").write_text('{"stopped": "stopped by SIGTERM after step 1"}')
    server = ScriptedServer()
    run_side_by_side(server, waiting, 2)
    assert server.stopped == [] and summaries(tmp_path)["2"] == {"reward_last": 2.5}
    assert "sweep member 1 failed: stopped by SIGTERM after step 1\n" in capsys.readouterr().out


class Refusing(ScriptedServer):
    """Server that refuses the second job and does not answer a request to stop the first."""

    def submit(self, submission: Submission) -> str:
        if len(self.asked) == 1 and not self.stopped:
            self.stopped.append("")
            raise RunFailure("no room for the package")
        return super().submit(submission)

    def ask_to_stop(self, job_id: str) -> None:
        super().ask_to_stop(job_id)
        if job_id == "job0":
            raise RunFailure("no answer")


def test_a_member_that_cannot_be_sent_is_named_and_stops_no_other(tmp_path):
    run_side_by_side(Refusing(), members(tmp_path, "good", "good", "good"), 1)
    assert summaries(tmp_path)["1"] == {"failed": "no room for the package"}
    assert summaries(tmp_path)["2"] == {"reward_last": 2.5}


def test_every_job_is_asked_to_stop_even_if_one_cannot_be(tmp_path, capsys):
    server = Refusing(patience=9)
    with pytest.raises(KeyboardInterrupt):
        run_side_by_side(server, members(tmp_path, "good", "good", "interrupt"), 2)
    assert server.stopped == ["", "job0", "job1"]
    assert "could not be asked to stop, so it may still run: no answer" in capsys.readouterr().out


def test_ctrl_c_stops_the_jobs_that_still_run(tmp_path):
    server = ScriptedServer(patience=9)
    with pytest.raises(KeyboardInterrupt):
        run_side_by_side(server, members(tmp_path, "good", "interrupt", "good"), 2)
    assert server.stopped == ["job0", "job1"] and len(server.asked) == 2


def test_as_many_members_run_as_fit_the_cluster():
    config = TrainConfig(cluster=CLUSTER)
    needed = 2 + 1 + 1 + (config.algo.kl_weight > 0)
    machine = Machine(id="a", name="a", cpus=2 * needed, gpus=0)
    assert room_for([config, config], [machine, replace(machine, id="b", cpus=needed + 1)]) == 3
    tenths = TrainConfig(cluster=replace(CLUSTER, num_learners=14, cpus_per_actor=0.4, cpus_per_reward_worker=0.0))
    assert room_for([tenths], [replace(machine, cpus=6.0)]) == 1
    with pytest.raises(ValueError, match="CPU"):
        room_for([config], [replace(machine, cpus=needed - 1)])


def test_a_verb_that_is_no_job_is_refused(capsys):
    assert assay(["data", "-m", "hydra/launcher=ray_jobs", "seed=1,2"]) == 2
    assert capsys.readouterr().err == "assay data: data does not run as a Ray job; leave hydra/launcher=ray_jobs out\n"


def test_a_mistyped_key_of_the_launcher_is_one_line(capsys):
    assert assay(["train", "-m", "hydra/launcher=ray_jobs", "hydra.launcher.max_paralel=2", "seed=1,2"]) == 2
    err = capsys.readouterr().err
    assert "max_paralel" in err and err.count("\n") == 1


SENTENCES = {
    "hydra.launcher.max_parallel=-1": "hydra.launcher.max_parallel must be ≥ 0; got -1",
    "hydra.launcher.address=head:6379": "head:6379 is not the address of a dashboard; give one like http://<head>:8265",
}


@pytest.mark.parametrize("argument", SENTENCES)
def test_a_sweep_that_cannot_start_is_one_sentence(argument, capsys, tmp_path):
    options = ["hydra/launcher=ray_jobs", argument, "experiment=demo", "seed=1,2", f"output={tmp_path}"]
    with pytest.raises(SystemExit) as left:
        assay(["train", "-m", *options])
    assert (left.value.code, capsys.readouterr().err) == (2, f"assay train: {SENTENCES[argument]}\n")
