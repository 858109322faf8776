"""Fixtures that several test folders share; this file also puts tests/ on the import path."""

import os
from pathlib import Path

import pytest

# Read when torch loads: spinning threads of several processes on the same cores slow each other down a hundredfold.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from tiny_model import write_tiny_model  # noqa: E402


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("tiny"))
