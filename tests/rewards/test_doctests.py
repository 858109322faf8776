import doctest
from importlib import import_module
from pathlib import Path

import pytest

import rewards

FILES = sorted(path.stem for path in Path(rewards.__path__[0]).glob("*.py") if ">>>" in path.read_text())


@pytest.mark.parametrize("name", FILES)
def test_the_examples_of_the_documentation_hold(name: str) -> None:
    outcome = doctest.testmod(import_module(f"rewards.{name}"))
    assert outcome.attempted
    assert not outcome.failed
