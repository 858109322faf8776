"""A run folder that is moved, replaced or removed while the run writes to it."""

import shutil
from pathlib import Path

import pytest

from launch.run.folder import run_folder
from launch.run.place import Place
from rl.faults import RunFailure


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "run"


def loss(place: Place) -> str:
    assert place.is_lost
    with pytest.raises(RunFailure) as raised:
        place.check()
    return str(raised.value)


def test_a_folder_that_stays_is_no_loss(folder: Path):
    with run_folder(str(folder)) as held:
        place = Place(held)
        (folder / "metrics.jsonl").touch()
        place.check()
        assert not place.is_lost


@pytest.mark.parametrize("is_replaced", [True, False])
def test_a_folder_that_was_moved_is_named_where_it_is(is_replaced: bool, folder: Path, tmp_path: Path):
    with run_folder(str(folder)) as held:
        place = Place(held)
        folder.rename(tmp_path / "aside")
        if is_replaced:
            folder.mkdir()
            (folder / ".lock").touch()
        assert loss(place) == (
            f"output={folder}, in which the run began, was moved to {tmp_path}/aside; the same command with "
            f"resume=auto output={tmp_path}/aside goes on there"
        )


def test_a_folder_that_was_removed_is_not_looked_for(folder: Path):
    with run_folder(str(folder)) as held:
        place = Place(held)
        shutil.rmtree(folder)
        assert loss(place) == (
            f"output={folder}, in which the run began, was removed while the run wrote to it; the same command starts "
            "anew"
        )


def test_a_moved_folder_whose_lock_nobody_holds_is_to_be_looked_for(folder: Path, tmp_path: Path):
    with run_folder(str(folder)) as held:
        place = Place(held)
    folder.rename(tmp_path / "aside")
    assert loss(place).endswith(
        "was moved away while the run wrote to it; look for the folder that has its metrics.jsonl"
    )
