"""A run that is killed anywhere and goes on leaves the bytes of one that was not."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl.data.pairs.journal import Journal, in_batches, write_whole


def run(path: Path, items: Sequence[int], size: int) -> list[list[int]]:
    """Does the work that is left; the batches that were worked on. A line depends on the whole of its batch."""
    worked = []

    async def work(batch: Sequence[int]) -> list[dict]:
        worked.append(list(batch))
        return [{"id": item, "said": f"ü\n{item} of {sum(batch)}\x85"} for item in batch]

    with Journal(path) as journal:
        asyncio.run(in_batches(items, journal, size, work, lambda: None))
        assert [line["id"] for line in journal.lines] == list(items)
    return worked


@given(count=st.integers(0, 30), size=st.integers(1, 12), share=st.floats(0, 1))
def test_a_kill_at_any_byte_changes_nothing(tmp_path_factory, count, size, share):
    path = tmp_path_factory.mktemp("journal") / "lines.jsonl"
    run(path, range(count), size)
    undisturbed = path.read_bytes()
    cut = int(share * len(undisturbed))
    path.write_bytes(undisturbed[:cut])
    worked = run(path, range(count), size)
    assert path.read_bytes() == undisturbed
    num_whole = undisturbed[:cut].count(b"\n")
    assert [batch[0] for batch in worked] == list(
        range(num_whole // size * size if num_whole < count else count, count, size)
    )


def test_work_that_is_done_is_not_done_again(tmp_path):
    assert run(tmp_path / "a", range(5), 2) == [[0, 1], [2, 3], [4]]
    assert run(tmp_path / "a", range(5), 2) == []


def test_a_journal_that_nothing_was_added_to_leaves_no_file(tmp_path):
    assert Journal(tmp_path / "a").lines == []
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("line", ["{", "[1]", "5", '{"id": 2}'])
def test_a_line_that_the_journal_did_not_write_is_named(tmp_path, line):
    run(tmp_path / "a", range(1), 1)
    with (tmp_path / "a").open("a") as file:
        file.write(f"{line}\n")
    with pytest.raises(ValueError, match="a: line 2 has no digest, .*start anew in another folder"):
        Journal(tmp_path / "a")


def test_every_flipped_bit_is_named_or_leaves_out_the_last_line(tmp_path):
    run(tmp_path / "a", range(3), 2)
    content = (tmp_path / "a").read_bytes()
    lines = Journal(tmp_path / "a").lines
    for place in range(len(content)):
        changed = bytearray(content)
        changed[place] ^= 1 << place % 8
        (tmp_path / "a").write_bytes(changed)
        try:
            assert Journal(tmp_path / "a").lines == lines[:2] and place == len(content) - 1
        except ValueError as error:
            assert f"{tmp_path}/a: line " in str(error)


def test_a_file_is_replaced_as_a_whole(tmp_path):
    write_whole(tmp_path / "a", [{"x": 1}])
    write_whole(tmp_path / "a", [{"x": "\u2028"}, {}])
    # One line each, by whatever rule a reader splits them.
    assert [json.loads(line) for line in (tmp_path / "a").read_text().splitlines()] == [{"x": "\u2028"}, {}]
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_file_for_which_the_disk_has_no_room_leaves_no_part_behind(tmp_path):
    (tmp_path / ".a.unfinished").symlink_to("/dev/full")
    with pytest.raises(OSError, match=f"No space left on device: '{tmp_path}/a'"):
        write_whole(tmp_path / "a", [{"x": 1}])
    assert list(tmp_path.iterdir()) == []
