"""The examples in the docstrings of rl/data hold."""

import doctest
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
FILES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in (ROOT / "rl/data").rglob("*.py")
    if ">>>" in path.read_text()
)


@pytest.mark.parametrize("name", FILES)
def test_the_examples_of_the_data_hold(name: str) -> None:
    outcome = doctest.testmod(import_module(name))
    assert outcome.attempted
    assert not outcome.failed
