"""JSON, JSON lines and YAML become values, or one sentence with the line; tests/fuzz has the hostile ones."""

import json
from pathlib import Path

import pytest

from rl.documents import read_json, read_json_lines, read_yaml
from rl.faults import UserError


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "file"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_json_and_yaml_are_read_as_their_own_modules_read_them(tmp_path):
    told = {"a": [1, -0.5, 1e300, 10**40, None, True, "\u2028🔩\\", ""], "b": {"a": {}}, "c": [[], {}]}
    assert read_json(written(tmp_path, json.dumps(told))) == told
    assert read_json(written(tmp_path, json.dumps(told, ensure_ascii=False, indent=2))) == told
    text = 'a: [1, -0.5, .inf, 2001-02-03, ~, "x"]\nb:\n  a: |\n    one\n    two\n  "a b": >-\n    three\n'
    assert repr(read_yaml(written(tmp_path, text))) == (
        "{'a': [1, -0.5, inf, datetime.date(2001, 2, 3), None, 'x'], 'b': {'a': 'one\\ntwo\\n', 'a b': 'three'}}"
    )
    assert read_yaml(written(tmp_path, "")) is None


def test_an_object_may_have_the_keys_of_another(tmp_path):
    assert read_json(written(tmp_path, '[{"a": 1}, {"a": {"a": 2}}]')) == [{"a": 1}, {"a": {"a": 2}}]
    assert read_yaml(written(tmp_path, "[{a: 1}, {a: {a: 2}}]")) == [{"a": 1}, {"a": {"a": 2}}]


def test_lines_are_cut_at_line_feeds_alone_and_counted_with_the_blank_ones(tmp_path):
    path = written(tmp_path, '"a\u2028b"\r\n\n  \n[1]')
    assert list(read_json_lines(path)) == [(f"{path}: line 1", "a\u2028b"), (f"{path}: line 4", [1])]


def test_64_levels_are_read_and_65_are_not(tmp_path):
    for read in (read_json, read_yaml):
        assert read(written(tmp_path, "[" * 64 + "]" * 64))
        with pytest.raises(UserError, match="file: line 1 nests more than 64 levels; make it flatter"):
            read(written(tmp_path, "[" * 65 + "]" * 65))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"a": 1,\n"b": }', "line 2 is not JSON (Expecting value); mend it"),
        ('{"a": {"b": 1,\n\n"\\u0062": 2}}', "line 3 has the key 'b' a second time in one object; leave one"),
        ("[1,\n-Infinity]", "line 2 holds -Infinity, which is no number in JSON; write null or leave it out"),
        ("[1,\n2e400]", "line 2 holds a number that is too large; write a smaller one"),
        ('["\\ud83d\\udd29",\n"\\udd29"]', "line 2 holds a lone surrogate, which is no letter; remove it"),
        (b'["a",\n"\xed\xa0\x80"]', "line 2 is not UTF-8 (byte 0xed); save it as UTF-8"),
        ('"' + '\\"' * 100_000, "line 1 is not JSON (Unterminated string starting at); mend it"),
        ("\ufeff{}", "line 1 is not JSON (Unexpected UTF-8 BOM (decode using utf-8-sig)); mend it"),
    ],
)
def test_json_that_is_refused_is_named_by_its_line(tmp_path, text, said):
    path = written(tmp_path, text)
    with pytest.raises(UserError) as raised:
        read_json(path)
    assert str(raised.value) == f"{path}: {said}"


def test_yaml_that_repeats_a_part_is_refused_before_it_grows(tmp_path):
    lines = ["a0: &a0 [x, x]", *(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 40))]
    with pytest.raises(UserError, match="line 1 names a part with & or repeats one with"):
        read_yaml(written(tmp_path, "\n".join(lines)))
