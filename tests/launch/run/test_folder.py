"""The folder of a run: locked while it runs, gone if nothing began."""

from pathlib import Path

import pytest

from launch.run.folder import run_folder, write_whole
from rl.faults import UserError


def test_a_refused_run_leaves_no_folder(tmp_path: Path):
    with pytest.raises(UserError), run_folder(str(tmp_path / "run")):
        raise UserError("photos: the folder holds no image")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_was_there_stays(tmp_path: Path):
    with pytest.raises(UserError), run_folder(str(tmp_path)):
        raise UserError("photos: the folder holds no image")
    assert tmp_path.is_dir()


@pytest.mark.parametrize(("error", "files"), [(UserError("no"), ["config.yaml"]), (RuntimeError("a bug"), [])])
def test_what_has_begun_and_the_place_of_a_bug_stay(error: Exception, files: list[str], tmp_path: Path):
    folder = tmp_path / "run"
    with pytest.raises(type(error)), run_folder(str(folder)):
        for name in files:
            (folder / name).touch()
        raise error
    assert sorted(path.name for path in folder.iterdir()) == [".lock", *files]


def test_a_file_for_which_the_disk_has_no_room_is_named_and_the_one_before_stays(tmp_path: Path):
    page, full = tmp_path / "report.html", tmp_path / ".report.html.unfinished"
    page.write_text("before")
    full.symlink_to("/dev/full")
    with pytest.raises(OSError, match=rf"No space left on device: '{page}'"):
        write_whole(page, "after")
    assert page.read_text() == "before" and not full.is_symlink()
