"""A run folder that is moved, replaced or removed while the run writes to it."""

import os
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


def test_a_folder_whose_lock_was_deleted_is_no_loss(folder: Path):
    with run_folder(str(folder)) as held:
        place = Place(held)
        (folder / ".lock").unlink()
        place.check()


def test_a_disk_that_fails_for_a_moment_is_no_loss(folder: Path, tmp_path: Path):
    with run_folder(str(folder)) as held:
        place = Place(held)
        folder.rename(tmp_path / "aside")
        # A path that cannot be followed, which is neither another folder nor none.
        folder.symlink_to(folder)
        place.check()


def test_a_file_among_the_parents_is_a_loss(tmp_path: Path):
    folder = tmp_path / "runs/1"
    with run_folder(str(folder)) as held:
        place = Place(held)
        folder.parent.rename(tmp_path / "aside")
        folder.parent.touch()
        assert f"was moved to {tmp_path}/aside/1; " in loss(place)


def test_a_place_that_is_closed_keeps_no_file_open(tmp_path: Path):
    before = len(os.listdir("/proc/self/fd"))
    place = Place(tmp_path)
    place.close()
    assert len(os.listdir("/proc/self/fd")) == before
