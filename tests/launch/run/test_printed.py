"""The lines that reward functions print: all in rewards.log, as many in the terminal as can be read."""

from pathlib import Path

import pytest

from launch.run.place import Place
from launch.run.printed import MOST_LINES, PrintedLines
from rl.faults import RunFailure


def test_every_line_is_kept_and_a_flood_does_not_fill_the_terminal(tmp_path: Path):
    said: list[str] = []
    lines = [f"reward mine: {number}" for number in range(500)]
    printed = PrintedLines(Place(tmp_path), said.append)
    for line in lines:
        printed.hear(line)
    assert (tmp_path / "rewards.log").read_text().splitlines() == lines
    assert said == [*lines[:MOST_LINES], f"more of what reward functions print is in {tmp_path}/rewards.log"]


def test_a_run_that_goes_on_adds_to_the_lines_of_before(tmp_path: Path):
    for word in ("one", "two"):
        PrintedLines(Place(tmp_path), print).hear(word)
    assert (tmp_path / "rewards.log").read_text() == "one\ntwo\n"


def test_a_long_line_is_cut_in_the_terminal_only(tmp_path: Path):
    said: list[str] = []
    PrintedLines(Place(tmp_path), said.append).hear("x" * 2000)
    assert said == ["x" * 500 + "…"]
    assert (tmp_path / "rewards.log").stat().st_size == 2001


def test_nothing_is_written_into_a_folder_that_took_the_place_of_the_run(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    printed = PrintedLines(Place(folder), print)
    folder.rename(tmp_path / "aside")
    folder.mkdir()
    with pytest.raises(RunFailure, match="was moved to"):
        printed.hear("a word")
    assert list(folder.iterdir()) == []
