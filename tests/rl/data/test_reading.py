"""Whatever a format finds becomes samples, or one sentence."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from rl.data.config import DataConfig
from rl.data.readers.reader import Reader, Record
from rl.data.reading import READERS, read_samples, samples_of
from rl.faults import UserError
from rl.types import Sample, Target, Task


@pytest.fixture
def holed(tmp_path: Path) -> Record:
    """A part with a hole, another part and two references, all in one folder."""
    for name in ("hole.png", "other.png", "first.png", "second.png"):
        Image.new("L", (20, 10)).save(tmp_path / name)
    return Record(
        path=tmp_path / "hole.png",
        folder=tmp_path,
        category="plate",
        kind="hole",
        references=(tmp_path / "first.png", tmp_path / "second.png"),
        boxes=((0, 0, 4, 5), (10, 0, 20, 10)),
    )


def read(records: Sequence[Record], task: Task = Task.boxes, *, with_reference: bool = True) -> list[Sample]:
    reader = Reader(
        help="a list",
        layout="none",
        to_normal="call it normal",
        recognises=lambda root: True,
        find=lambda root: records,
    )
    return samples_of(reader, DataConfig(root="here", question="Fine?", task=task, with_reference=with_reference))


def test_a_record_says_all_that_its_sample_holds(holed):
    record = replace(holed, labels=("hole", "rim"), rationale="A hole.", heldout=True)
    assert read([record]) == [
        Sample(
            id="plate/hole",
            images=(*holed.references, holed.path),
            question="Fine?",
            target=Target(
                label="defective", kind="hole", boxes=holed.boxes, box_labels=("hole", "rim"), rationale="A hole."
            ),
            category="plate",
            heldout=True,
        )
    ]


def test_boxes_without_labels_are_named_after_the_kind(holed):
    assert read([holed])[0].target.box_labels == ("hole", "hole")


def test_an_image_level_label_is_enough(holed):
    records = [replace(holed, boxes=()), replace(holed, path=holed.folder / "other.png", kind="", boxes=())]
    assert [sample.target for sample in read(records)] == [
        Target(label="defective", kind="hole"),
        Target(label="normal"),
    ]


def test_options_are_the_kinds_of_the_records_own_category(holed):
    bent = replace(holed, path=holed.folder / "other.png", kind="bent")
    bowl = replace(holed, kind="chip", category="bowl")
    options = [{*sample.target.options.values()} for sample in read([holed, bent, bowl], Task.choice)]
    assert options == [{"hole", "bent", "No defect"}] * 2 + [{"chip", "No defect"}]


def test_an_image_without_a_reference_is_refused_where_one_is_shown(holed):
    alone = replace(holed, references=())
    assert read([alone], with_reference=False)[0].images == (holed.path,)
    with pytest.raises(ValueError, match=f"{holed.path}: no normal image is known .* data.with_reference=false"):
        read([alone])


def test_a_note_may_name_the_reference_of_an_image_without_one(holed):
    (holed.folder / "annotations.json").write_text(json.dumps({"hole.png": {"reference": "second.png"}}))
    assert read([replace(holed, references=())])[0].images == (holed.folder / "second.png", holed.path)


@pytest.mark.parametrize("box", [(0, 0, 21, 10), (-1, 0, 4, 5), (4, 0, 4, 5), (0, 5, 4, 0)])
@pytest.mark.parametrize("place", ["", "coco.json: image 7"])
def test_a_box_that_is_none_is_named_with_the_place_that_states_it(holed, box, place):
    with pytest.raises(ValueError, match=f"^{place or holed.path} has the box .* in an image of 20x10"):
        read([replace(holed, boxes=(box,), boxes_from=place)])


def test_boxes_are_in_pixels_of_the_image_as_it_is_seen(holed):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("L", (20, 10)).save(holed.path, exif=exif)
    assert read([replace(holed, boxes=((0, 10, 10, 20),))])[0].target.boxes == ((0, 10, 10, 20),)
    with pytest.raises(UserError, match="has the box .* in an image of 10x20"):
        read([replace(holed, boxes=((10, 0, 20, 10),))])


def test_boxes_with_another_number_of_labels_are_refused(holed):
    with pytest.raises(UserError, match=f"^{holed.path} has 2 boxes and 1 labels; give each box a label$"):
        read([replace(holed, labels=("hole",))])


def test_two_images_of_one_sample_id_are_refused(holed):
    twin = replace(holed, path=holed.folder / "hole.jpg")
    sentence = f"^{holed.path} and {twin.path} are both sample plate/hole; rename or remove one$"
    with pytest.raises(UserError, match=sentence):
        read([holed, twin])


def test_the_notes_of_a_folder_are_read_once_though_a_reader_goes_to_and_fro(holed):
    elsewhere = holed.folder / "bowls"
    elsewhere.mkdir()
    Image.new("L", (20, 10)).save(elsewhere / "bowl.png")
    bowl = replace(holed, path=elsewhere / "bowl.png", folder=elsewhere, category="bowl")
    other = replace(holed, path=holed.folder / "other.png")
    (holed.folder / "annotations.json").write_text(
        json.dumps({"hole.png": {"rationale": "A."}, "other.png": {"rationale": "B."}})
    )
    found = {sample.id: sample.target.rationale for sample in read([holed, bowl, other])}
    assert found == {"plate/hole": "A.", "plate/other": "B.", "bowl/bowl": ""}


def test_a_missing_mask_ends_with_the_formats_own_advice(holed):
    with pytest.raises(ValueError, match="lost.png: the mask of .*hole.png is missing; add it or call it normal$"):
        read([replace(holed, mask=holed.folder / "lost.png")])


def test_an_empty_folder_is_called_empty(tmp_path):
    with pytest.raises(ValueError, match=f"^data.root={tmp_path} is empty; lay it out as <category>/"):
        read_samples(DataConfig(root=str(tmp_path)))


def test_a_folder_of_no_known_layout_is_refused_with_those_that_are_known(tmp_path):
    (tmp_path / "about.txt").touch()
    with pytest.raises(ValueError) as raised:
        read_samples(DataConfig(root=str(tmp_path)))
    assert str(raised.value).startswith(f"data.root={tmp_path} has no known layout; lay it out as <category>/{{train")
    for name, reader in READERS.items():
        assert f"{reader.layout} ({name}: {reader.help})" in str(raised.value)
