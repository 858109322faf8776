"""hydra/launcher=ray_jobs: runs the members of `assay train -m …` side by side, each as a job of a Ray cluster."""

import os
import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

from actors.config import needs_reference
from actors.placement import ROUNDING, Machine, plan, slots
from conf.schema import TrainConfig
from launch.chain.stages import trainings_of
from launch.command.app import RAY_JOBS, RUN_FAULT, USAGE_FAULT
from launch.command.composing import to_dataclass
from launch.command.inside_hydra import add_launcher, launcher_target
from launch.command.member_files import begin_member, fail_member, member_value
from launch.run.members import SUMMARY, has_ended, read_summary, why_ended_early
from rl.faults import AssayError, RunFailure, UserError

if TYPE_CHECKING:
    from launch.jobs.package import Package
    from launch.jobs.server import JobServer, JobState
    from launch.jobs.submission import Submission

POLL_S = 1.0
FAULT = "assay train: "
"""Begin of the last line that a failed training prints."""


@dataclass
class RayJobsConfig:
    """Options of this launcher, hydra.launcher.*."""

    _target_: str = launcher_target(RAY_JOBS, "RayJobs")
    address: str = ""
    """The cluster's dashboard, http://<head>:8265; empty asks the environment, as `assay submit` does."""
    max_parallel: int = 0
    """Maximum number of members at once; 0 runs as many as the cluster has room for."""


@dataclass(frozen=True, kw_only=True)
class MemberJob:
    """Run of a sweep as a Ray job."""

    number: int
    overrides: list[str]
    config: TrainConfig
    submission: "Submission"

    @property
    def folder(self) -> Path:
        return Path(self.config.output)


class RayJobs(Launcher):
    """Launcher for any of Hydra's sweepers."""

    def __init__(self, address: str, max_parallel: int) -> None:
        self._address = address
        self._max_parallel = max_parallel

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self._context = hydra_context
        self._config = config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> list[JobReturn]:
        """Run the members to their ends; return for each the number that ranks it, None if it failed."""
        try:
            members = self._run(job_overrides, initial_job_idx)
        except AssayError as error:
            # Hydra would show where any other exception was raised.
            print(f"{FAULT}{error}", file=sys.stderr, flush=True)
            raise SystemExit(USAGE_FAULT if isinstance(error, UserError) else RUN_FAULT) from error
        return [_returned(member) for member in members]

    def _run(self, job_overrides: Sequence[Sequence[str]], first_number: int) -> list[MemberJob]:
        from launch.jobs.package import pack
        from launch.jobs.secret_files import about_left_behind
        from launch.jobs.server import JobServer
        from launch.jobs.submission import TREE

        if self._max_parallel < 0:
            raise UserError(f"hydra.launcher.max_parallel must be ≥ 0; got {self._max_parallel}")
        server = JobServer(self._address)
        with TemporaryDirectory() as folder:
            package = pack(TREE, Path(folder) / "tree.zip")
            if package.left_behind:
                print(about_left_behind(package.left_behind), flush=True)
            members = [
                self._member(number, list(overrides), package)
                for number, overrides in enumerate(job_overrides, first_number)
            ]
            most = self._max_parallel or room_for(
                [run for member in members for run in trainings_of(member.config)], server.machines()
            )
            run_side_by_side(server, members, most)
        return members

    def _member(self, number: int, overrides: list[str], package: "Package") -> MemberJob:
        from launch.jobs.submission import overrides_in_job, submission

        composed = self._context.config_loader.load_sweep_config(self._config, overrides)
        # Defaults that follow the chosen options are those of the member.
        HydraConfig.instance().set_config(composed)
        with open_dict(composed):
            del composed["hydra"]
        here = Path.cwd()
        composed.output = str(here / composed.output / str(number))
        config = to_dataclass(composed, TrainConfig)
        arguments = overrides_in_job(config, overrides, package, here)
        for folder in filter(os.path.isdir, self._config.hydra.searchpath):
            arguments += ["--config-dir", package.path_in_job(folder, here)]
        return MemberJob(
            number=number,
            overrides=overrides,
            config=config,
            submission=submission(package, arguments, os.environ),
        )


def room_for(configs: Sequence[TrainConfig], machines: Sequence[Machine]) -> int:
    """Return how many of these trainings fit on the machines at once; raise a UserError if one does not fit alone."""
    rooms = []
    for config in configs:
        wanted = slots(config.cluster, with_reference=needs_reference(config.algo, config.cluster))
        plan(wanted, machines, config.cluster.placement)
        cpus, gpus = sum(slot.cpus for slot in wanted), sum(slot.gpus for slot in wanted)
        rooms.append(int(sum(machine.cpus for machine in machines) / cpus + ROUNDING))
        if gpus:
            rooms.append(int(sum(machine.gpus for machine in machines) / gpus + ROUNDING))
    return max(1, min(rooms))


def run_side_by_side(server: "JobServer", members: Sequence[MemberJob], most: int) -> None:
    """Run the members, `most` at once; when interrupted, stop those that still run."""
    waiting, running = deque(members), dict[str, MemberJob]()
    try:
        while waiting or running:
            while waiting and len(running) < most:
                member = waiting.popleft()
                begin_member(member.folder, member.overrides)
                try:
                    job_id = server.submit(member.submission)
                except RunFailure as error:
                    _fail(member, str(error))
                    continue
                running[job_id] = member
                _say(member, f"is {job_id}; dashboard: {server.dashboard(job_id)}")
            for job_id, member in list(running.items()):
                state = server.patiently(partial(server.state, job_id))
                if state.over:
                    _keep(server, job_id, member, state)
                    del running[job_id]
            time.sleep(POLL_S)
    finally:
        _stop(server, running)


def _keep(server: "JobServer", job_id: str, member: MemberJob, state: "JobState") -> None:
    """Write the member's summary into its folder here, even if the cluster shares no files with this machine."""
    log = server.patiently(partial(server.log, job_id))
    lines = [line for line in log.splitlines() if line.strip()]
    has_told = has_ended(member.folder)
    if state.exit_code or not (lines or has_told):
        sentence = next((line for line in reversed(lines) if line.startswith(FAULT)), state.message)
        _fail(member, sentence.removeprefix(FAULT))
        return
    if not has_told:
        (member.folder / SUMMARY).write_text(lines[-1])
    _say(member, "is done")


def _fail(member: MemberJob, sentence: str) -> None:
    fail_member(member.folder, sentence)
    _say(member, f"failed: {why_ended_early(read_summary(member.folder)) or sentence}")


def _stop(server: "JobServer", running: Mapping[str, MemberJob]) -> None:
    for job_id, member in running.items():
        fail_member(member.folder, "stopped with the sweep")
        try:
            server.ask_to_stop(job_id)
        except RunFailure as error:
            # The others are still to be asked.
            _say(member, f"({job_id}) could not be asked to stop, so it may still run: {error}")
        else:
            _say(member, f"({job_id}) is asked to stop")
    for job_id in running:
        server.stop(job_id)


def _returned(member: MemberJob) -> JobReturn:
    value = member_value(member.folder, member.config.logging.rank_by)
    return JobReturn(
        overrides=member.overrides,
        working_dir=str(member.folder),
        status=JobStatus.COMPLETED,
        _return_value=value,
    )


def _say(member: MemberJob, text: str) -> None:
    print(f"sweep member {member.number} {text}", flush=True)


def add_ray_jobs() -> None:
    """Make hydra/launcher=ray_jobs known to Hydra."""
    add_launcher(RAY_JOBS, RayJobs, RayJobsConfig)
