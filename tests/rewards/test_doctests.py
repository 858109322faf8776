import doctest
from importlib import import_module
from pathlib import Path

import pytest

import rewards

ROOM = Path(rewards.__path__[0])
FILES = sorted(
    ".".join(path.relative_to(ROOM.parent).with_suffix("").parts)
    for path in ROOM.rglob("*.py")
    if ">>>" in path.read_text()
)


@pytest.mark.parametrize("name", FILES)
def test_the_examples_of_the_documentation_hold(name: str) -> None:
    outcome = doctest.testmod(import_module(name))
    assert outcome.attempted
    assert not outcome.failed
