"""Knowledge is read, loses its objects' names, and is offered with exactly one right piece among deceptive ones."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl.data.knowledge.entries import (
    GOOD,
    Entry,
    called_alike,
    entry_of,
    nearest,
    object_agnostic,
    offered,
    read_mmad,
    read_yaml,
    uniform,
    with_knowledge,
)

TEETH = "Zippers of which a tooth is out of line."
MMAD = {
    "MVTec": {
        "zipper": {
            "good": " <Normal Characteristics>\n Description: The zipper is even.",
            "split_teeth": f" <Split Teeth>\n Description: {TEETH}\n\n",
            "combined": " <Zipper Defects>\n Description: Several at once.",
        }
    },
    "VisA": {"pcb1": {"good": "A PCB as it should be.", "bad": "Burnt spots."}},
}


def written(folder: Path, content: object, name: str = "domain_knowledge.json") -> Path:
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def entry(name: str, defect: str = "", object_: str = "wood") -> Entry:
    return Entry(dataset="d", object=object_, defect=defect or name.lower(), name=name, text=f"About {name}.")


BASE = [entry(name) for name in ("Scratch", "Hole", "Stain", "Cut", "Dent")]


def test_mmads_file_is_read_as_it_stands(tmp_path):
    entries = read_mmad(written(tmp_path, MMAD))
    assert [each.key for each in entries] == [
        *("MVTec.zipper.good", "MVTec.zipper.split_teeth", "MVTec.zipper.combined", "VisA.pcb1.good", "VisA.pcb1.bad")
    ]
    assert [each.name for each in entries] == ["Normal", "Split Teeth", "Zipper Defects", "Normal", "Bad"]
    assert (entries[1].text, entries[3].text) == (TEETH, "A PCB as it should be.")


def test_a_yaml_file_says_the_same(tmp_path):
    lines = "d:\n  wood:\n    good: Even grain.\n    deep_cut: '<Cut> A gap.'\n    hole: >\n      Round,\n      dark.\n"
    entries = read_yaml(written(tmp_path, lines, "k.yaml"))
    assert [(each.defect, each.name, each.text) for each in entries] == [
        ("good", "Normal", "Even grain."),
        ("deep_cut", "Cut", "A gap."),
        ("hole", "Hole", "Round, dark."),
    ]


def test_object_agnostic_entries_name_no_object(tmp_path):
    entries = object_agnostic(read_mmad(written(tmp_path, MMAD)))
    assert entries[1].text == "[object] of which a tooth is out of line."
    assert (entries[2].name, entries[2].object) == ("[object] Defects", "zipper")


def test_an_entry_that_keeps_its_name_is_named(tmp_path):
    hidden = {"MVTec": {"zipper": {"good": "Even.", "cut": "A zip\u200bper."}}}
    with pytest.raises(
        ValueError, match=r"^MVTec\.zipper\.cut: its text still names the object \('zipper'\); reword it"
    ):
        object_agnostic(read_mmad(written(tmp_path, hidden)))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("{", "line 1 is not JSON"),
        ("1" * 4301, "line 1 holds a number that is too large"),
        ("[" * 100_000, "line 1 nests more than 64 levels"),
        ("[]", "the file holds no entries"),
        ({}, "the file holds no entries"),
        ({"d": 3}, "'d' holds no entries"),
        ({"d": {"o": "text"}}, "'d.o' holds no entries"),
        ({"d": {"o": {"good": ""}}}, "entry 'd.o.good' has the text ''"),
        ({"d": {"o": {"good": 3}}}, "entry 'd.o.good' has the text 3"),
        ({"d": {"o": {"cut": "A cut."}}}, "'d.o' has no entry 'good'"),
        ({"d": {"o": {"good": "A </answer>."}}}, "holds </answer>"),
        ({"d": {"o": {"good": "<|image_pad|>"}}}, "holds <|"),
        ({"d": {"o": {"good": "x", "cut": "<Cut>"}}}, "has a name and no text"),
        ({"d": {"o": {"good": "x", "-": "y"}}}, "has a name and no text, or none"),
        ({"d": {"o": {"good": "x"}, "": {"good": "x"}}}, "has the key ''"),
        ({"d.o": {"p": {"good": "x"}}, "d": {"o.p": {"good": "x"}}}, "two entries have the key 'd.o.p.good'"),
    ],
)
def test_a_faulty_file_is_one_sentence_that_names_it(tmp_path, content, sentence):
    path = written(tmp_path, content)
    with pytest.raises(ValueError) as raised:
        read_mmad(path)
    assert str(raised.value).startswith(f"{path}: ") and sentence in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("a: b: c", "line 1 is not YAML .mapping values"),
        ("d: {o: {no: x}}", "False, which is no text"),
    ],
)
def test_a_faulty_yaml_is_refused(tmp_path, lines, said):
    with pytest.raises(ValueError, match=said):
        read_yaml(written(tmp_path, lines, "k.yaml"))


def test_a_file_that_is_missing_or_no_text_is_refused(tmp_path):
    (tmp_path / "k.yaml").write_bytes(b"\xff\xfe")
    for read, name, said in ((read_mmad, "none.json", "cannot be read"), (read_yaml, "k.yaml", "line 1 is not UTF-8")):
        with pytest.raises(ValueError, match=said):
            read(tmp_path / name)


def test_an_entry_is_found_by_folder_or_words():
    entries = [entry("Deep cut", "deep_cut"), entry("Normal", GOOD)]
    assert entry_of(entries, "wood", "deep cut") is entries[0] and entry_of(entries, "Wood", GOOD) is entries[1]
    for base, said in ((entries, "has none"), ([*entries, entry("Hole"), entry("Hole")], "has d.wood.hole and d.wood")):
        with pytest.raises(ValueError, match=f"needs one entry of wood.hole and {said}"):
            entry_of(base, "wood", "hole")


@given(wrong=st.permutations(BASE[1:]), sample_id=st.text())
def test_the_order_of_an_offer_is_the_ids_alone(wrong, sample_id):
    found = offered(BASE[0], wrong, sample_id)
    assert found == offered(BASE[0], BASE[1:], sample_id)
    assert sorted(each.key for each in found) == sorted(each.key for each in BASE)


def test_the_right_one_stands_at_every_place_equally_often():
    places = [offered(BASE[0], BASE[1:4], f"wood/{number}").index(BASE[0]) for number in range(400)]
    assert all(70 <= places.count(place) <= 130 for place in range(4))


@pytest.mark.parametrize("wrong", [[], [entry("SCRATCH", "mark")], [entry("Hole"), entry("hole", "gap")]])
def test_an_offer_of_one_name_twice_or_of_one_entry_is_refused(wrong):
    with pytest.raises(ValueError, match="^sample a: its knowledge must be two or more entries of different names"):
        offered(BASE[0], wrong, "a")


def test_a_question_lists_the_knowledge_that_is_offered():
    asked = with_knowledge("Which?\nA: cut\nB: hole", [entry("Cut"), entry("Hole")])
    assert asked == (
        'Which?\nA: cut\nB: hole\nHere is some optional knowledge.\n"Cut": "About Cut."\n"Hole": "About Hole."'
    )


def test_the_nearest_are_likest_first_and_never_right():
    vectors = np.array([[1, 0], [0.9, 0.1], [0, 1], [0.5, 0.5], [-1, 0]], np.float32)
    assert [each.name for each in nearest(vectors[0], vectors, BASE, BASE[0], 3)] == ["Hole", "Cut", "Stain"]
    # Twice as long is no likelier.
    longer = vectors * np.array([[1], [1], [1], [9], [9]], np.float32)
    assert [each.name for each in nearest(vectors[0] * 2, longer, BASE, BASE[0], 4)][-1] == "Dent"


def test_what_is_right_without_its_object_is_no_wrong_knowledge():
    twins = [entry("Scratch"), entry("Scratch", "line", "tile"), entry("Scratch Defect", "scratch", "tile")]
    others = [entry("Hole"), entry("Hole", "gap", "tile"), entry("Stain")]
    for found in (
        nearest(np.ones(2), np.ones((6, 2)), [*twins, *others], twins[0], 2),
        uniform([*twins, *others], twins[0], 2, "a"),
    ):
        assert sorted(called_alike(each.name) for each in found) == ["hole", "stain"]
    with pytest.raises(ValueError, match="has 2 entries that are wrong where d.wood.scratch is right and needs 3"):
        uniform([*twins, *others], twins[0], 3, "a")


@given(order=st.permutations(range(5)), sample_id=st.text(max_size=5))
def test_wrong_ones_do_not_depend_on_the_order_of_the_base(order, sample_id):
    base, vectors = [BASE[i] for i in order], np.array([[i, 1.0] for i in order])
    assert uniform(base, BASE[2], 3, sample_id) == uniform(BASE, BASE[2], 3, sample_id)
    query = np.array([2.0, 1.0])
    expected = nearest(query, np.array([[i, 1.0] for i in range(5)]), BASE, BASE[2], 3)
    assert nearest(query, vectors, base, BASE[2], 3) == expected


def test_chance_takes_every_wrong_one_equally_often():
    drawn = [each.name for number in range(400) for each in uniform(BASE, BASE[0], 1, f"wood/{number}")]
    assert all(70 <= drawn.count(each.name) <= 130 for each in BASE[1:])


def test_vectors_that_are_not_one_an_entry_are_refused():
    for vectors in (np.ones((4, 2)), np.full((5, 2), np.nan)):
        with pytest.raises(RuntimeError, match="a finite vector for each of 5 entries"):
            nearest(np.ones(2), vectors, BASE, BASE[0], 1)
