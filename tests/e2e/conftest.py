"""One small run of the real thing, shared by the tests that look at it."""

import json
from pathlib import Path

import pytest
from small_runs import SMALL, Run, assay


@pytest.fixture(scope="session")
def demo_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "demo"
    done = assay("data", f"output={folder}", "num_parts=16")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="session")
def small_run(demo_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("run") / "first"
    done = assay("train", *SMALL, f"data.root={demo_data}", f"output={folder}")
    assert done.returncode == 0, done.stdout + done.stderr
    return Run(folder=folder, summary=json.loads(done.stdout.strip().splitlines()[-1]), output=done.stdout)
