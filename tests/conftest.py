"""Fixtures that several test folders share; this file also puts tests/ on the import path."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# Torch reads this when it loads: spinning threads of several processes slow each other down a hundredfold.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# No deadlines: a machine that others use too may be slow at any moment.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

from builders.tiny_model import write_tiny_model  # noqa: E402
from builders.vllm_server import STARTER, serving  # noqa: E402

SLOW_AS_A_WHOLE = re.compile(r"^pytestmark = \[?pytest\.mark\.slow", flags=re.MULTILINE)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Skip the import of files with slow tests only if slow tests are left out: some import TRL or vLLM."""
    if collection_path.suffix != ".py" or config.option.markexpr not in ("not slow", "not slow and not rare"):
        return None
    return SLOW_AS_A_WHOLE.search(collection_path.read_text()) is not None or None


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def starter_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start a real `vllm serve` of the starter, once per pytest process, in half a minute; yield its address."""
    with serving(STARTER, tmp_path_factory.mktemp("server") / "log.txt") as url:
        yield url
