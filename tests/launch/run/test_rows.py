"""metrics.jsonl: what is read is what was written, or it is refused."""

import json
import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from launch.run.rows import Rows, RowWriter, read_rows
from rl.faults import UserError

ROWS = [{"step": 0, "a": 0.1}, {"step": 1, "a": 1e-30, "b": math.nan}, {"step": 2, "a": -3.0}]


def written(folder: Path, rows: list[dict[str, float]] = ROWS) -> bytes:
    folder.mkdir(exist_ok=True)
    writer = RowWriter(folder, Rows(rows=[], chain=""))
    for row in rows:
        writer.write(row)
    writer.close()
    return (folder / "metrics.jsonl").read_bytes()


def read(folder: Path, content: bytes) -> Rows:
    (folder / "metrics.jsonl").write_bytes(content)
    return read_rows(folder)


def same(found: list[dict[str, float]], expected: list[dict[str, float]]) -> bool:
    return json.dumps(found) == json.dumps(expected)


def test_rows_come_back_as_they_were_with_nan_as_null(tmp_path):
    content = written(tmp_path)
    assert same(read_rows(tmp_path).rows, ROWS)
    lines = [json.loads(line) for line in content.splitlines()]
    assert lines[1]["b"] is None and all(len(line["chain"]) == 16 for line in lines)


def test_a_writer_goes_on_with_the_chain_of_the_rows_before(tmp_path):
    whole = written(tmp_path / "straight")
    written(tmp_path / "parts", ROWS[:1])
    writer = RowWriter(tmp_path / "parts", read_rows(tmp_path / "parts"))
    for row in ROWS[1:]:
        writer.write(row)
    writer.close()
    assert (tmp_path / "parts/metrics.jsonl").read_bytes() == whole


def test_the_chain_at_a_length_is_that_of_the_rows_until_there(tmp_path):
    first = len(written(tmp_path, ROWS[:1]))
    chain = read_rows(tmp_path).chain
    written(tmp_path / "all")
    assert read_rows(tmp_path / "all", first).chain == chain != read_rows(tmp_path / "all").chain


def test_an_unfinished_last_line_is_left_out(tmp_path):
    content = written(tmp_path)
    assert same(read(tmp_path, content[:-1]).rows, ROWS[:2])
    assert read(tmp_path, b"") == read_rows(tmp_path / "nowhere") == Rows(rows=[], chain="")


def test_every_flipped_bit_is_refused_or_leaves_out_the_last_row(tmp_path):
    content = written(tmp_path)
    for place in range(len(content)):
        for bit in range(8):
            changed = bytearray(content)
            changed[place] ^= 1 << bit
            try:
                assert same(read(tmp_path, bytes(changed)).rows, ROWS[:2]) and place == len(content) - 1
            except UserError as error:
                assert str(tmp_path / "metrics.jsonl: line ") in str(error) and "\n" not in str(error)


@pytest.mark.parametrize("order", [[1, 0, 2], [0, 2], [0, 1, 1, 2], [1, 2]])
def test_rows_that_were_moved_lost_or_doubled_are_refused(tmp_path, order):
    lines = written(tmp_path).splitlines(keepends=True)
    with pytest.raises(UserError, match="its digest differs"):
        read(tmp_path, b"".join(lines[at] for at in order))


def test_rows_without_digests_are_those_of_an_older_version(tmp_path):
    assert read(tmp_path, b'{"step": 0, "a": 1.5}\n{"step": 1, "a": null}\n').chain == ""


@pytest.mark.parametrize("line", ['{"step": 1, "note": "fine"}', "[1]", '{"a": 1}', "{", "[" * 100_000])
def test_a_line_that_is_no_row_is_refused(tmp_path, line):
    with pytest.raises(UserError, match=r"metrics\.jsonl: line 1 is"):
        read(tmp_path, f"{line}\n".encode())


FLOATS = st.floats(allow_infinity=False)


@settings(max_examples=50)
@given(rows=st.lists(st.dictionaries(st.text(max_size=5), FLOATS, max_size=4), max_size=4))
def test_any_names_and_numbers_come_back(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("rows")
    rows = [row | {"step": float(number)} for number, row in enumerate(rows)]
    written(folder, rows)
    assert same(read_rows(folder).rows, rows)
