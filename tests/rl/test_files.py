"""A file is replaced as a whole or stays as it was."""

from pathlib import Path

import pytest

from rl.files import replaced


def test_a_file_is_there_as_a_whole_once_the_block_is_over(tmp_path: Path):
    page = tmp_path / "page"
    page.write_text("before")
    with replaced(page) as unfinished:
        unfinished.write_text("after")
        assert page.read_text() == "before"
    assert page.read_text() == "after" and list(tmp_path.iterdir()) == [page]


@pytest.mark.parametrize("fault", [ValueError("a bug"), KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_a_fault_leaves_the_file_before_and_nothing_unfinished(fault: BaseException, tmp_path: Path):
    page = tmp_path / "page"
    page.write_text("before")
    with pytest.raises(type(fault)), replaced(page) as unfinished:
        unfinished.write_text("a part")
        raise fault
    assert page.read_text() == "before" and list(tmp_path.iterdir()) == [page]


def test_a_fault_of_the_disk_names_the_file_that_is_not_written(tmp_path: Path):
    with pytest.raises(OSError, match=f"No space left on device: '{tmp_path}/page'"), replaced(tmp_path / "page"):
        raise OSError(28, "No space left on device")
