"""annotations.json, good and bad, becomes notes or one sentence."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl.data.annotations import Note, read_notes
from rl.faults import UserError

GOOD, BENT = "test/good/0.png", "test/bent/0.png"


def notes(folder: Path, entries: object) -> dict[str, Note]:
    (folder / "annotations.json").write_text(entries if isinstance(entries, str) else json.dumps(entries))
    return read_notes(folder, {GOOD: True, BENT: False})


def test_a_category_need_not_have_notes(tmp_path):
    assert read_notes(tmp_path, {GOOD: True}) == {}


def test_a_whole_entry_is_read(tmp_path):
    entry = {"reference": "train/good/7.png", "boxes": [[0, 1, 2.5, 3]], "labels": ["bent"], "rationale": "Bent."}
    note = Note(reference="train/good/7.png", boxes=((0, 1, 2.5, 3),), labels=("bent",), rationale="Bent.")
    assert notes(tmp_path, {BENT: entry}) == {BENT: note}


def test_every_field_may_be_left_out(tmp_path):
    assert notes(tmp_path, {BENT: {}, GOOD: {"boxes": [], "labels": []}}) == {BENT: Note(), GOOD: Note()}


FAULTS = {
    "not an object": (["x"], 1, None, "x"),
    "unknown key 'lables'": ({"boxes": [[0, 0, 1, 1]], "lables": ["bent"]},),
    'boxes is "x", not a list': ({"boxes": "x"},),
    "boxes is null": ({"boxes": None},),
    "has the box [1, 2, 3]": ({"boxes": [[1, 2, 3]]},),
    "write [x1, y1, x2, y2] in pixels": (
        {"boxes": [[5, 0, 3, 1]]},
        {"boxes": [[0, 5, 1, 5]]},
        {"boxes": [[-1, 0, 3, 1]]},
        {"boxes": [["0", 0, 3, 1]]},
        {"boxes": [[False, 0, True, 1]]},
        {"boxes": [{"x1": 0}]},
        {"boxes": [7]},
    ),
    "has no box, yet the image is defective": ({"boxes": []}, {"boxes": [], "labels": []}),
    "has 1 boxes and 0 labels": ({"boxes": [[0, 0, 1, 1]], "labels": []},),
    "has 0 boxes and 1 labels": ({"labels": ["bent"]},),
    "one for each box": (
        {"boxes": [[0, 0, 1, 1]], "labels": "bent"},
        {"boxes": [[0, 0, 1, 1]], "labels": [3]},
        {"boxes": [[0, 0, 1, 1]], "labels": [""]},
    ),
    "rationale is 3, not a text": ({"rationale": 3},),
    "reference is null, not a text": ({"reference": None},),
}


@pytest.mark.parametrize(("sentence", "entry"), [(said, entry) for said in FAULTS for entry in FAULTS[said]])
def test_a_faulty_entry_is_one_sentence_that_names_it(tmp_path, sentence, entry):
    with pytest.raises(ValueError) as raised:
        notes(tmp_path, {GOOD: {}, BENT: entry})
    assert str(raised.value).startswith(f"{tmp_path / 'annotations.json'}: entry '{BENT}'")
    assert sentence in str(raised.value) and "\n" not in str(raised.value)


def test_a_normal_image_with_boxes_is_refused(tmp_path):
    with pytest.raises(ValueError, match=f"entry '{GOOD}' has boxes, yet the image is normal; remove them or correct"):
        notes(tmp_path, {GOOD: {"boxes": [[0, 0, 1, 1]], "labels": ["bent"]}})


@pytest.mark.parametrize("text", ["1" * 4301, "[" * 100_000])
def test_a_number_or_a_nesting_past_the_parsers_limits_is_refused(tmp_path, text):
    (tmp_path / "annotations.json").write_text(text)
    with pytest.raises(UserError, match="annotations.json: line 1 (holds a number that is too large|nests more than)"):
        read_notes(tmp_path, {})


def test_an_entry_of_no_image_is_refused(tmp_path):
    with pytest.raises(ValueError, match="there is no image 'test/bent/1.png' in .*; correct the name or remove the"):
        notes(tmp_path, {BENT: {}, "test/bent/1.png": {}})


@pytest.mark.parametrize("text", ["[]", '"x"', "3", "null", "", "{", "\ufeff{}"])
def test_a_file_that_holds_no_object_is_refused_by_name(tmp_path, text):
    with pytest.raises(ValueError) as raised:
        notes(tmp_path, text)
    assert str(raised.value).startswith(f"{tmp_path / 'annotations.json'}: ") and "\n" not in str(raised.value)


def test_a_file_that_is_no_text_is_refused_by_name(tmp_path):
    (tmp_path / "annotations.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="annotations.json: line 1 is not UTF-8 .*; save it as UTF-8"):
        read_notes(tmp_path, {GOOD: True})


def test_a_references_name_stays_below_its_folder_and_links_are_followed(tmp_path):
    folder = tmp_path / "bolt"
    (folder / "train").mkdir(parents=True)
    (folder / "train/cache").symlink_to(tmp_path)
    for name in ("train/good/7.png", "train/cache/7.png", "./7.png", "7..png"):
        assert notes(folder, {BENT: {"reference": name}})[BENT].reference == name
    for name in (str(folder / "7.png"), "..", "../bolts/7.png", "train/../7.png", "train/cache/../7.png"):
        with pytest.raises(UserError, match=f"json: entry '{BENT}' names .*; name a file below {folder}, without .. "):
            notes(folder, {BENT: {"reference": name}})


numbers = st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.integers(-2, 9)
anything = st.recursive(
    st.none() | numbers | st.text(max_size=3),
    lambda parts: st.lists(parts, max_size=4) | st.dictionaries(st.sampled_from(["boxes", "labels", "x"]), parts),
    max_leaves=12,
)


@given(entry=anything)
def test_whatever_stands_there_is_a_note_or_a_sentence(tmp_path_factory, entry):
    try:
        note = notes(tmp_path_factory.getbasetemp(), {BENT: entry})[BENT]
    except ValueError as error:
        assert BENT in str(error) and "\n" not in str(error)
    else:
        assert all(0 <= x1 < x2 and 0 <= y1 < y2 for x1, y1, x2, y2 in note.boxes)
        assert len(note.labels) in (0, len(note.boxes))
