"""Runs that lose Ray's GCS, the disk or the folder: the sentence, what is left, and that they go on.

Each ends equal, bit for bit, to ten steps without a break.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from ray.cluster_utils import Cluster

from builders.small_runs import (
    TEN_STEPS,
    Run,
    Started,
    children,
    finished_run,
    measured,
    newest_step,
    same_weights,
    start,
    still_alive,
)

pytestmark = [pytest.mark.slow, pytest.mark.rare]
SLOW = "reward.functions=[{path: builders.slow_reward.talks, weight: 0}]"
DISK_BYTES = 256 * 2**20


@dataclass(frozen=True, kw_only=True)
class Ended:
    """End of a run that something happened to."""

    code: int
    output: str
    seconds: float
    """Seconds from the event to the end of all processes."""

    @property
    def sentence(self) -> str:
        return self.output.strip().splitlines()[-1]


def options(data: Path, output: Path, *more: str) -> list[str]:
    return [*TEN_STEPS, f"data.root={data}", f"output={output}", "logging.wandb=disabled", "resume=auto", *more]


def ended(run: Started, family: list[psutil.Process], began: float, timeout_s: float = 120) -> Ended:
    output, _ = run.process.communicate(timeout=timeout_s)
    assert not still_alive(family, 30)
    return Ended(code=run.process.returncode, output=output, seconds=time.monotonic() - began)


def family_of(run: Started) -> list[psutil.Process]:
    """List the processes that end with a run; Ray's own agents take two minutes if its GCS is gone."""
    return [process for process in children(run) if "Agent" not in process.name()]


def gcs_among(processes: list[psutil.Process]) -> psutil.Process:
    return next(process for process in processes if process.name() == "gcs_server")


def summary(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "summary.json").read_text())


def going_on(folder: Path) -> str:
    return f"resume=auto output={folder} goes on from {folder}/checkpoints/step_{newest_step(folder)}"


def assert_equal(folder: Path, straight: Run) -> None:
    assert measured(folder) == measured(straight.folder)
    same_weights(*(run / "checkpoints/step_10/hf" for run in (folder, straight.folder)))


def assert_goes_on(folder: Path, data: Path, straight: Run) -> None:
    finished_run(folder, *options(data, folder))
    assert_equal(folder, straight)


def assert_named_the_gcs(end: Ended, folder: Path) -> None:
    assert end.code == 1, end.output[-2000:]
    assert re.match(r"assay train: Ray's GCS at \S+:\d+ is gone", end.sentence), end.output[-2000:]
    assert going_on(folder) in end.sentence and "Traceback" not in end.output
    assert "Ray's GCS" in summary(folder)["failed"] and "Ray&#x27;s GCS" in (folder / "report.html").read_text()


def test_a_killed_gcs_ends_the_run_in_a_sentence_before_ray_aborts_it(demo_data: Path, small_run: Run, tmp_path: Path):
    with start("train", *options(demo_data, tmp_path, SLOW)) as run:
        run.wait_for_step(tmp_path, 4)
        family, began = family_of(run), time.monotonic()
        assert summary(tmp_path)["running"]["pid"] == run.process.pid
        gcs_among(family).kill()
        end = ended(run, family, began)

    assert_named_the_gcs(end, tmp_path)
    print(f"figure: a killed GCS ended the run and all its processes in {end.seconds:.0f} s")
    assert_goes_on(tmp_path, demo_data, small_run)


def test_a_killed_gcs_of_a_cluster_that_was_joined_ends_the_run_too(demo_data: Path, small_run: Run, tmp_path: Path):
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False})
    try:
        joined = options(demo_data, tmp_path, SLOW, f"cluster.address={cluster.address}")
        with start("train", *joined) as run:
            run.wait_for_step(tmp_path, 4)
            began = time.monotonic()
            cluster.head_node.all_processes["gcs_server"][0].process.kill()
            end = ended(run, [], began)
    finally:
        cluster.shutdown()

    assert_named_the_gcs(end, tmp_path)
    print(f"figure: a killed GCS of a cluster ended the run in {end.seconds:.0f} s")
    assert_goes_on(tmp_path, demo_data, small_run)


def assert_left_ray(end: Ended, folder: Path, straight: Run) -> None:
    assert end.code == 0, end.output[-2000:]
    assert summary(folder) == json.loads(end.sentence) and (folder / "report.html").exists()
    assert "Ray did not end in 10 s" in end.output
    assert_equal(folder, straight)
    print(f"figure: a run whose GCS hung ended {end.seconds:.0f} s after that, with its report")


def test_a_run_whose_gcs_hangs_trains_to_its_end_records_it_and_leaves(demo_data: Path, small_run: Run, tmp_path: Path):
    with start("train", *options(demo_data, tmp_path)) as run:
        run.wait_for_step(tmp_path, 4)
        family, began = family_of(run), time.monotonic()
        gcs_among(family).suspend()
        end = ended(run, family, began, timeout_s=300)

    assert_left_ray(end, tmp_path, small_run)


def test_a_run_leaves_a_joined_cluster_whose_gcs_hangs(demo_data: Path, small_run: Run, tmp_path: Path):
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False})
    try:
        with start("train", *options(demo_data, tmp_path, f"cluster.address={cluster.address}")) as run:
            run.wait_for_step(tmp_path, 4)
            began = time.monotonic()
            cluster.head_node.all_processes["gcs_server"][0].process.send_signal(signal.SIGSTOP)
            end = ended(run, [], began, timeout_s=300)
    finally:
        cluster.shutdown()

    assert_left_ray(end, tmp_path, small_run)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a disk that holds a few checkpoints."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "none", disk]).returncode:
        pytest.skip("a small disk can only be mounted by root")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)


FULL = {
    20 * 2**20: r"assay train: output=\S+: its disk has [\d,]+ bytes free, and a checkpoint .* needs [\d,]+; make room",
    0: r"assay train: (\[Errno 28\] No space left on device: '/\S+'|output=\S+: its disk has 0 bytes free, ).*; "
    r"besides, \[Errno 28\] No space left on device: '\S+/summary\.json'",
}
"""The sentence by the bytes that are left on the disk."""


@pytest.mark.parametrize("left", FULL)
def test_a_full_disk_is_named_and_the_run_goes_on_once_there_is_room(
    left: int, demo_data: Path, small_run: Run, small_disk: Path
):
    folder = small_disk / "run"
    with start("train", *options(demo_data, folder)) as run:
        run.wait_for(folder / "checkpoints/step_3")
        run.wait_for_step(folder, 4)
        family, began = family_of(run), time.monotonic()
        fill(small_disk / "filler", left)
        end = ended(run, family, began)

    assert end.code == 1 and "Traceback" not in end.output, end.output[-2000:]
    assert re.match(FULL[left], end.sentence), end.sentence
    assert going_on(folder) in end.sentence
    assert ("failed" if left else "running") in summary(folder)
    print(f"figure: a disk with {left} bytes left ended the run in {end.seconds:.0f} s")
    (small_disk / "filler").unlink()
    assert_goes_on(folder, demo_data, small_run)


def fill(file: Path, left: int) -> None:
    """Write a file that leaves so many bytes on its disk."""
    with file.open("wb", buffering=0) as filler:
        missing = shutil.disk_usage(file.parent).free - left
        while missing > 0:
            try:
                missing -= filler.write(bytes(min(missing, 2**20)))
            except OSError:
                return


def test_an_output_that_is_moved_away_ends_the_run_which_goes_on_there(demo_data: Path, small_run: Run, tmp_path: Path):
    folder, aside = tmp_path / "run", tmp_path / "aside"
    with start("train", *options(demo_data, folder)) as run:
        run.wait_for_step(folder, 4)
        family, began = family_of(run), time.monotonic()
        folder.rename(aside)
        folder.mkdir()
        end = ended(run, family, began)

    assert end.code == 1, end.output[-2000:]
    assert end.sentence.startswith(f"assay train: output={folder}, in which the run began, was moved to {aside}; the ")
    assert f"resume=auto output={aside} goes on there" in end.sentence
    assert list(folder.iterdir()) == [] and "running" in summary(aside)
    print(f"figure: a run whose output was moved ended in {end.seconds:.0f} s")
    assert_goes_on(aside, demo_data, small_run)
