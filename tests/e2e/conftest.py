"""A small real run and its data, shared by the tests of the folder."""

from pathlib import Path

import pytest

from builders.small_runs import TEN_STEPS, Run, assay, finished_run


@pytest.fixture(scope="session")
def demo_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "demo"
    done = assay("data", f"output={folder}", "num_parts=16")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="session")
def small_run(demo_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Train ten steps without a break, two of them under the profiler."""
    folder = tmp_path_factory.mktemp("run") / "first"
    options = ["logging.backends=[wandb,tensorboard]", f"data.root={demo_data}", f"output={folder}"]
    return finished_run(folder, *TEN_STEPS, *options, "profile.steps=2..3")
