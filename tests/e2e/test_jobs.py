"""A real Ray head with its job server: submit, follow, status, stop, and a sweep in parallel."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import pytest

from builders.ports import held_ports
from builders.small_runs import ROOT
from launch.jobs.package import pack
from launch.jobs.server import LOOPBACK, JobServer
from launch.jobs.submission import TREE, submission

pytestmark = pytest.mark.slow

SECRETS = {"WANDB_API_KEY": "sentinel-of-wandb-0123456789abcdef0123456789", "HF_TOKEN": "sentinel-of-hf"}
TINY = (
    "experiment=demo",
    "num_steps=1",
    "data.num_heldout=4",
    "algo.num_prompts=4",
    "algo.num_completions=2",
    "cluster.num_learners=1",
    "cluster.cpus_per_actor=0.25",
    "cluster.cpus_per_reward_worker=0.25",
)
START_S = 60
WAIT_S = 120


@dataclass(frozen=True, kw_only=True)
class Head:
    address: str
    logs: Path
    environment: dict[str, str]
    """Environment of the submitting process, with the cluster's token and secrets."""

    def assay(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "launch", *arguments],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=WAIT_S * 2,
            check=False,
        )


@dataclass(frozen=True, kw_only=True)
class Done:
    folder: Path
    code: int
    out: str
    err: str


@pytest.fixture(scope="module")
def head() -> Iterator[Head]:
    """Start a Ray head with its own token, ports and folder."""
    with TemporaryDirectory(prefix="ray", dir="/tmp", ignore_cleanup_errors=True) as folder, held_ports(4) as ports:
        token = Path(folder) / "token"
        token.write_text("a-token-of-this-test")
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "WANDB_"))},
            "RAY_AUTH_TOKEN_PATH": str(token),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        }
        port, dashboard, agent, client = ports
        command = ["ray", "start", "--head", "--block", "--num-cpus=4", f"--dashboard-host={LOOPBACK}"]
        command += [f"--port={port}", f"--dashboard-port={dashboard}", f"--dashboard-agent-listen-port={agent}"]
        command += [f"--ray-client-server-port={client}", f"--temp-dir={folder}/ray", "--disable-usage-stats"]
        cluster = subprocess.Popen(
            command,
            env={**environment, "RAY_AUTH_MODE": "token"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            address = f"http://{LOOPBACK}:{dashboard}"
            _wait_for_head(address, environment)
            logs = Path(folder) / "ray/session_latest/logs"
            yield Head(
                address=address,
                logs=logs,
                environment={**environment, **SECRETS, "RAY_API_SERVER_ADDRESS": address},
            )
        finally:
            _end(cluster)


@pytest.fixture(scope="module")
def server(head: Head) -> Iterator[JobServer]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_TOKEN_PATH", head.environment["RAY_AUTH_TOKEN_PATH"])
        patch.setenv("RAY_API_SERVER_ADDRESS", head.address)
        yield JobServer(head.address)


@pytest.fixture(scope="module")
def done(head: Head, demo_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Done:
    """Submit a small demo run with secrets in the environment; follow it to its end."""
    folder = tmp_path_factory.mktemp("job") / "run"
    ran = head.assay("submit", *TINY, f"data.root={demo_data}", f"output={folder}", "logging.wandb=offline")
    return Done(folder=folder, code=ran.returncode, out=ran.stdout, err=ran.stderr)


def test_a_submitted_run_ends_with_its_summary_and_exit_code_0(done: Done, head: Head):
    assert done.code == 0, done.out + done.err
    summary = json.loads(done.out.splitlines()[-1])
    assert (summary["output"], summary["steps"]) == (str(done.folder), 1)
    assert json.loads((done.folder / "summary.json").read_text()) == summary
    assert f"dashboard: {head.address}/#/jobs/raysubmit_" in done.err and "SUCCEEDED" in done.err


def test_no_secret_is_printed_kept_or_logged_by_us(done: Done, head: Head):
    assert not any(secret in done.out + done.err for secret in SECRETS.values())
    assert (done.folder / "wandb").is_dir()
    assert _files_with_secrets(done.folder) == set()
    # Ray's agent logs the environment of every job; docs/clusters.md says so.
    assert {path.name for path in _files_with_secrets(head.logs)} <= {"runtime_env_agent.log"}


def test_a_wrong_override_of_a_plain_ray_job_is_one_line_and_exit_code_2(server: JobServer, tmp_path: Path):
    sent = submission(pack(TREE, tmp_path / "tree.zip"), ["algo.num_promts=4"], {})
    lines: list[str] = []
    state = server.follow(server.submit(sent), lines.append)
    said = "".join(lines).splitlines()[-1]
    assert (state.status, state.exit_code) == ("FAILED", 2)
    assert said == "assay train: algo.num_promts is not a key; did you mean algo.num_prompts?"


def test_a_wrong_override_is_refused_before_anything_is_sent(head: Head):
    ran = head.assay("submit", "algo.num_promts=4")
    answer = "assay submit: algo.num_promts is not a key; did you mean algo.num_prompts?\n"
    assert (ran.returncode, ran.stdout, ran.stderr) == (2, "", answer)


def wait_for_step(metrics: Path) -> None:
    deadline = time.monotonic() + WAIT_S
    while not (metrics.exists() and '"reward/mean"' in metrics.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.5)


def test_a_detached_job_has_a_status_stops_and_shows_its_logs(head: Head, demo_data: Path, tmp_path: Path):
    options = [
        *TINY,
        "num_steps=500",
        "checkpoint.every=0",
        f"data.root={demo_data}",
        f"output={tmp_path}",
        "logging.wandb=disabled",
    ]
    job_id = head.assay("submit", *options, "--detach").stdout.strip()
    assert job_id.startswith("raysubmit_")
    assert head.assay("submit", "--status", job_id).stdout.split()[1] in ("PENDING", "RUNNING")
    wait_for_step(tmp_path / "metrics.jsonl")
    stopped = head.assay("submit", "--stop", job_id)
    assert (stopped.returncode, stopped.stdout.split()[1]) == (0, "STOPPED"), stopped.stderr
    assert list(tmp_path.glob("checkpoints/step_*/run.json"))
    logs = head.assay("submit", "--logs", job_id)
    assert logs.returncode == 143 and "Running entrypoint" in logs.stdout
    unknown = head.assay("submit", "--status", "nobody")
    assert unknown.stderr == f"assay submit: there is no job nobody at {head.address}\n"


def test_ctrl_c_leaves_the_job_running_and_says_how_to_go_on(head: Head, server: JobServer, tmp_path: Path):
    sent = submission(pack(TREE, tmp_path / "tree.zip"), [], {})
    job_id = server.submit(replace(sent, entrypoint=f"echo up; sleep {WAIT_S}"))
    _wait_for_line(server, job_id, "up")
    following = subprocess.Popen(
        [sys.executable, "-m", "launch", "submit", "--logs", job_id],
        cwd=ROOT,
        env=head.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A suite started in the background ignores Ctrl-C, and so would its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        assert following.stdout is not None
        while following.stdout.readline().strip() != "up":
            assert following.poll() is None
        following.send_signal(signal.SIGINT)
        _, err = following.communicate(timeout=WAIT_S)
    finally:
        following.kill()
    assert following.returncode == 130 and f"--stop {job_id}" in err and "goes on" in err
    assert server.state(job_id).status == "RUNNING"
    assert server.stop(job_id).status == "STOPPED"


@pytest.mark.rare
def test_a_sweep_runs_side_by_side_and_names_the_member_that_failed(head: Head, demo_data: Path, tmp_path: Path):
    swept = "rollout.max_prompt_tokens=256,40,255"
    options = [*TINY, swept, f"data.root={demo_data}", f"output={tmp_path}", "logging.wandb=disabled"]
    ran = head.assay("train", "-m", "hydra/launcher=ray_jobs", *options)
    assert ran.returncode == 1, ran.stdout + ran.stderr
    members = [json.loads((tmp_path / str(number) / "summary.json").read_text()) for number in range(3)]
    assert [member.get("steps") for member in members] == [1, None, 1]
    assert "rollout.max_prompt_tokens=40" in members[1]["failed"]
    assert "sweep member 1 failed: " + members[1]["failed"] in ran.stdout
    started, ended = ran.stdout.index("sweep member 2 is raysubmit_"), ran.stdout.index("is done")
    assert started < ended
    assert (tmp_path / "sweep.csv").exists() and (tmp_path / "sweep.html").exists()


def _wait_for_line(server: JobServer, job_id: str, line: str) -> None:
    deadline = time.monotonic() + WAIT_S
    while line not in server.log(job_id).splitlines():
        assert time.monotonic() < deadline, server.log(job_id)
        time.sleep(0.5)


def _wait_for_head(address: str, environment: dict[str, str]) -> None:
    deadline = time.monotonic() + START_S
    command = [sys.executable, "-m", "launch", "submit", "--status", "nobody", "--address", address]
    while True:
        asked = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        if "there is no job" in asked.stderr:
            return
        assert time.monotonic() < deadline, asked.stderr
        time.sleep(1)


def _files_with_secrets(folder: Path) -> set[Path]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path for path in files if any(secret.encode() in path.read_bytes() for secret in SECRETS.values())}


def _end(cluster: subprocess.Popen[bytes]) -> None:
    """End the processes that this head started, and no others."""
    family = psutil.Process(cluster.pid).children(recursive=True)
    cluster.terminate()
    psutil.wait_procs([psutil.Process(cluster.pid)], timeout=START_S)
    for process in family:
        if process.is_running():
            process.kill()
    cluster.wait(timeout=START_S)
    psutil.wait_procs(family, timeout=START_S)
