"""Client of a Ray cluster's job server: submits, follows and stops jobs."""

import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ray.dashboard.modules import dashboard_sdk
from ray.exceptions import AuthenticationError
from ray.job_submission import JobStatus, JobSubmissionClient

from actors.placement import Machine
from launch.jobs.submission import STOP_WAIT_S, Submission
from rl.faults import RunFailure, UserError, one_line

LOOPBACK = "127.0.0.1"
LOCAL = f"http://{LOOPBACK}:8265"
REQUEST_S = 60.0
POLL_S = 1.0
LOG_BYTES_PER_S = 1e6
"""Each request returns the whole log, so a long one is requested less often."""
PATIENCE_S = 60.0
"""Seconds that a job server may be out of reach while a job is followed."""
STOPPED = 143
"""Exit code of a process that SIGTERM stopped."""


@dataclass(frozen=True, kw_only=True)
class JobState:
    """State of a job."""

    status: str
    """Ray's word: PENDING, RUNNING, SUCCEEDED, FAILED or STOPPED."""
    exit_code: int | None
    """Exit code of its command; None until it is over."""
    message: str
    """First line of Ray's message."""

    @property
    def over(self) -> bool:
        return self.exit_code is not None


class JobServer:
    """Job server at an address; every request has a timeout, every fault is one sentence."""

    def __init__(self, address: str = "") -> None:
        self.address = server_address(address)
        # Otherwise Ray's client prefers RAY_ADDRESS to the address that it is given.
        os.environ["RAY_API_SERVER_ADDRESS"] = self.address
        logging.getLogger(dashboard_sdk.__name__).setLevel(logging.WARNING)
        with self._asking():
            self._client = _connect(self.address)

    def submit(self, submission: Submission) -> str:
        """Upload the package if the cluster lacks it, start the job and return its id."""
        with self._asking():
            return self._client.submit_job(entrypoint=submission.entrypoint, runtime_env=submission.runtime_env)

    def state(self, job_id: str) -> JobState:
        with self._asking(job_id):
            details = self._client.get_job_info(job_id)
        return JobState(
            status=details.status.value,
            exit_code=exit_code_of(details.status, details.driver_exit_code),
            message=(details.message or "").split("\n")[0].split(", last available logs")[0],
        )

    def log(self, job_id: str) -> str:
        """Return all that the job has printed so far."""
        with self._asking(job_id):
            return self._client.get_job_logs(job_id)

    def follow(self, job_id: str, say: Callable[[str], None]) -> JobState:
        """Pass what the job prints to `say` until it is over."""
        length = 0
        while True:
            state = self.patiently(lambda: self.state(job_id))
            log = self.patiently(lambda: self.log(job_id))
            say(log[length:])
            length = len(log)
            if state.over:
                return state
            time.sleep(POLL_S + len(log) / LOG_BYTES_PER_S)

    def stop(self, job_id: str) -> JobState:
        """Ask the job to stop and wait while it writes its checkpoint."""
        self.ask_to_stop(job_id)
        deadline = time.monotonic() + STOP_WAIT_S + PATIENCE_S
        while time.monotonic() < deadline:
            state = self.state(job_id)
            if state.over:
                return state
            time.sleep(POLL_S)
        raise RunFailure(f"{job_id} has not stopped in {STOP_WAIT_S + PATIENCE_S:g} s; see {self.dashboard(job_id)}")

    def ask_to_stop(self, job_id: str) -> None:
        with self._asking(job_id):
            self._client.stop_job(job_id)

    def patiently(self, ask: Callable[[], Any]) -> Any:
        """Return the answer, even if the server is out of reach for a while."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                return ask()
            except RunFailure:
                if time.monotonic() > deadline:
                    raise
                time.sleep(POLL_S)

    def dashboard(self, job_id: str) -> str:
        return f"{self.address}/#/jobs/{job_id}"

    def machines(self) -> list[Machine]:
        """Return the nodes with their total CPUs and GPUs; wait for a new cluster to list them."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            with self._asking():
                answer = self._client._do_request("GET", "/api/v0/nodes?detail=true&limit=10000")
                nodes = answer.json()["data"]["result"]["result"]
            found = [_machine(node) for node in nodes if node["state"] == "ALIVE"]
            if found or time.monotonic() > deadline:
                return found
            time.sleep(POLL_S)

    @contextmanager
    def _asking(self, job_id: str = "") -> Iterator[None]:
        try:
            yield
        except AuthenticationError as error:
            raise RunFailure(
                f"the Ray cluster at {self.address} wants its token; put it in RAY_AUTH_TOKEN, "
                f"or its file's name in RAY_AUTH_TOKEN_PATH"
            ) from error
        except OSError as error:
            raise RunFailure(
                f"no Ray job server answers at {self.address}; "
                f"give the address of the cluster's dashboard, --address http://<head>:8265"
            ) from error
        except RuntimeError as error:
            if "status code 404" in str(error):
                raise UserError(f"there is no job {job_id} at {self.address}") from error
            raise RunFailure(f"the Ray job server at {self.address} failed: {one_line(error)[:300]}") from error


class _Client(JobSubmissionClient):
    """Ray's client with a timeout, which it lacks."""

    def _do_request(self, *arguments: Any, **options: Any) -> Any:
        return super()._do_request(*arguments, timeout=REQUEST_S, **options)


def server_address(given: str) -> str:
    """Return the address of the dashboard: the given one, else that of the environment, else of this machine."""
    joined = os.environ.get("RAY_ADDRESS", "")
    found = given or os.environ.get("RAY_API_SERVER_ADDRESS") or (joined if joined.startswith("http") else LOCAL)
    if not found.startswith(("http://", "https://")):
        raise UserError(f"{found} is not the address of a dashboard; give one like http://<head>:8265")
    return found.rstrip("/")


def _connect(address: str) -> JobSubmissionClient:
    try:
        return _Client(address)
    except AuthenticationError:
        token = _token()
        if not token:
            raise
        return _Client(address, headers={"Authorization": f"Bearer {token}"})


def _token() -> str:
    """Return the token from where Ray keeps it; Ray's client looks there only if RAY_AUTH_MODE=token."""
    default = str(Path.home() / ".ray" / "auth_token")
    file = Path(os.environ.get("RAY_AUTH_TOKEN_PATH", default))
    return os.environ.get("RAY_AUTH_TOKEN") or (file.read_text().strip() if file.is_file() else "")


def _machine(node: dict[str, Any]) -> Machine:
    has = node["resources_total"]
    return Machine(id=node["node_id"], name=node["node_name"], cpus=has.get("CPU", 0.0), gpus=has.get("GPU", 0.0))


def exit_code_of(status: JobStatus, driver: int | None) -> int | None:
    if not status.is_terminal():
        return None
    if status is JobStatus.SUCCEEDED:
        return 0
    if status is JobStatus.STOPPED:
        return STOPPED
    return 1 if not driver else driver if driver > 0 else 128 - driver
