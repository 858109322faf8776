"""What a first-time user types wrongly is answered by one sentence that says what to do, before an actor starts."""

import shlex
from pathlib import Path

import pytest
import ray

from benchmarks.wrong_inputs import REFUSED, TABLE, WrongInput, write_material
from launch.__main__ import assay

pytestmark = pytest.mark.slow

USAGE = "usage: assay"
"""Begins the lines above the sentence where no key is typed."""


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("material")
    write_material(folder)
    return folder


@pytest.mark.parametrize("wrong", TABLE, ids=lambda wrong: wrong.typed)
def test_a_wrong_input_is_refused_with_what_to_do(wrong: WrongInput, material: Path, monkeypatch, capsys):
    monkeypatch.chdir(material)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert assay(shlex.split(wrong.typed)) == wrong.code
    out, err = capsys.readouterr()
    assert wrong.says in err + out
    assert wrong.code != REFUSED or USAGE in err or err.count("\n") == 1
    assert "starting" not in out and not ray.is_initialized()


def test_the_table_has_sixty_different_inputs():
    assert len({wrong.typed for wrong in TABLE}) == len(TABLE) >= 60
