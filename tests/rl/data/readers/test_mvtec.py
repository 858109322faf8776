"""Folders in MVTec-AD layout, good and bad, become samples or one sentence."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rl.data.config import DataConfig
from rl.data.demo.synthesis import write_demo
from rl.data.grid import cells_of_mask
from rl.data.questions import NO_DEFECT
from rl.data.reading import read_samples
from rl.types import Sample, Target, Task


def write(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def grey(width: int = 20, height: int = 10) -> np.ndarray:
    return np.full((height, width), 100, np.uint8)


@pytest.fixture
def screws(tmp_path: Path) -> Path:
    """A small category as MVTec-AD ships it, stray files included."""
    folder = tmp_path / "screw"
    write(folder / "train/good/000.png", grey())
    write(folder / "train/good/001.png", grey())
    write(folder / "test/good/000.png", grey())
    write(folder / "test/bent tip/000.PNG", grey())
    mask = np.zeros((10, 20), np.uint8)
    mask[1:4, 2:6] = 255
    mask[4:8, 6:9] = 255  # touches the first region at a corner
    mask[2:5, 12:18] = 1
    mask[9, 19] = 255  # a speck
    write(folder / "ground_truth/bent tip/000_mask.png", mask)
    (folder / "license.txt").write_text("CC BY-NC-SA 4.0")
    (folder / "test/good/._000.png").write_bytes(b"left by a file manager")
    (tmp_path / "readme.txt").write_text("a data set")
    return folder


def read(folder: Path, task: Task = Task.boxes) -> list[Sample]:
    return read_samples(DataConfig(root=str(folder.parent), question="Fine?", task=task))


def test_a_real_folder_is_read_with_boxes_from_its_masks(screws):
    bent, good = read(screws)
    assert bent == Sample(
        id="screw/test/bent tip/000",
        images=(screws / "train/good/000.png", screws / "test/bent tip/000.PNG"),
        question="Fine?",
        target=Target(
            label="defective",
            kind="bent tip",
            boxes=((2, 1, 9, 8), (12, 2, 18, 5)),
            box_labels=("bent tip", "bent tip"),
            mask=screws / "ground_truth/bent tip/000_mask.png",
        ),
        category="screw",
    )
    assert good.target == Target(label="normal")
    assert good.images == (screws / "train/good/000.png", screws / "test/good/000.png")


def test_the_generators_notes_come_before_what_the_masks_show(tmp_path):
    write_demo(tmp_path, seed=0, num_parts=4)
    samples = read_samples(DataConfig(root=str(tmp_path)))
    assert len(samples) == 16 and len({sample.id for sample in samples}) == 16
    for sample in samples:
        reference, query = sample.images
        assert reference == tmp_path / sample.category / "train/good" / query.name
        assert sample.target.rationale
        assert (sample.target.label == "normal") == ("/good/" in sample.id) == (sample.target.boxes == ())


def test_what_a_note_leaves_out_is_read_from_the_folder(screws):
    plain = read(screws)
    entries = {
        "test/bent tip/000.PNG": {"rationale": "Bent."},
        "test/good/000.png": {"reference": "train/good/001.png"},
    }
    (screws / "annotations.json").write_text(json.dumps(entries))
    bent, good = read(screws)
    assert bent == replace(plain[0], target=replace(plain[0].target, rationale="Bent."))
    assert good == replace(plain[1], images=(screws / "train/good/001.png", plain[1].images[1]))


def test_noted_boxes_without_labels_are_named_after_the_folder(screws):
    (screws / "annotations.json").write_text(json.dumps({"test/bent tip/000.PNG": {"boxes": [[0, 0, 20, 10]]}}))
    target = read(screws)[0].target
    assert (target.boxes, target.box_labels) == (((0, 0, 20, 10),), ("bent tip",))


def test_a_category_without_masks_has_image_level_labels(screws):
    shutil.rmtree(screws / "ground_truth")
    bent, good = read(screws)
    assert bent.target == Target(label="defective", kind="bent tip") and good.target == Target(label="normal")


def test_a_category_without_masks_may_have_noted_boxes(screws):
    shutil.rmtree(screws / "ground_truth")
    (screws / "annotations.json").write_text(json.dumps({"test/bent tip/000.PNG": {"boxes": [[1, 2, 3, 4]]}}))
    target = Target(label="defective", kind="bent tip", boxes=((1, 2, 3, 4),), box_labels=("bent tip",))
    assert read(screws)[0].target == target


def test_a_task_asks_its_own_question_unless_one_is_given(screws):
    questions = {task: read_samples(DataConfig(root=str(screws.parent), task=task))[0].question for task in Task}
    assert questions[Task.yes_no] == "Are there any defects or anomalies in the image?"
    assert questions[Task.boxes] == "Are there any defects in the second image?"
    assert len(set(questions.values())) == len(Task) - 1
    assert questions[Task.routed].splitlines()[0] == questions[Task.choice].splitlines()[0]
    assert read(screws, Task.yes_no)[0].question == "Fine?"


@pytest.mark.parametrize("task", [Task.choice, Task.routed, Task.grid])
def test_a_choice_offers_the_kinds_of_the_category_and_none(screws, task):
    write(screws / "test/worn_thread/000.png", grey())
    write(screws / "ground_truth/worn_thread/000_mask.png", np.full((10, 20), 255, np.uint8))
    samples = read(screws, task)
    assert [sample.task for sample in samples] == [task] * 3
    for sample, right in zip(samples, ("bent tip", NO_DEFECT, "worn thread"), strict=True):
        options = sample.target.options
        assert sorted(options.values()) == ["No defect", "bent tip", "worn thread"] and list(options) == ["A", "B", "C"]
        assert options[sample.target.option] == right
        assert sample.question == "Fine?\n" + "\n".join(f"{letter}: {text}" for letter, text in options.items())


def test_the_reasoning_of_a_choice_leads_to_its_option(tmp_path):
    write_demo(tmp_path, seed=0, num_parts=8)
    plain, asked = (read_samples(DataConfig(root=str(tmp_path), task=task)) for task in (Task.boxes, Task.choice))
    for before, after in zip(plain, asked, strict=True):
        target = after.target
        assert target.rationale == f"{before.target.rationale} The answer is {target.option}."
        assert (target.boxes, target.label, target.cells) == (before.target.boxes, before.target.label, None)
    assert len({str(sample.target.options) for sample in asked}) > 10


def test_a_sample_without_reasoning_gets_none(screws):
    assert [sample.target.rationale for sample in read(screws, Task.choice)] == ["", ""]


def test_cells_are_those_of_the_mask(screws):
    bent, good = read(screws, Task.grid)
    with Image.open(bent.target.mask) as image:
        assert bent.target.cells == cells_of_mask(np.asarray(image) > 0)
    assert (15, 15) in bent.target.cells  # the speck that is no box
    assert good.target.cells == frozenset()


def test_cells_without_a_mask_are_those_of_the_boxes_or_unknown(screws):
    shutil.rmtree(screws / "ground_truth")
    assert [sample.target.cells for sample in read(screws, Task.grid)] == [None, frozenset()]
    (screws / "annotations.json").write_text(json.dumps({"test/bent tip/000.PNG": {"boxes": [[0, 0, 2, 1]]}}))
    assert read(screws, Task.grid)[0].target.cells == {(0, 0), (1, 0), (0, 1), (1, 1)}


def test_only_defects_are_asked_for_by_place(screws):
    (bent,) = read(screws, Task.grounding)
    assert bent.target == read(screws)[0].target and bent.task is Task.grounding


def test_the_first_faulty_sample_is_named_whatever_is_wrong_with_later_ones(tmp_path):
    write_demo(tmp_path, seed=0, num_parts=40)
    metal, wood = tmp_path / "metal", tmp_path / "wood"
    faulty = [
        metal / "test/hole/0009.png",
        metal / "ground_truth/hole/0015_mask.png",
        metal / "train/good/0021.png",
        metal / "test/scratch/0001.png",
        wood / "test/good/0000.png",
    ]
    healthy = {path: path.read_bytes() for path in faulty}
    for path in faulty:
        path.write_bytes(b"no image")
    for path in faulty:
        with pytest.raises(ValueError, match=f"{path}: the image is damaged"):
            read_samples(DataConfig(root=str(tmp_path)))
        path.write_bytes(healthy[path])
    assert len(read_samples(DataConfig(root=str(tmp_path)))) == 160


@pytest.mark.parametrize("typed", ["screw", "screw/test", "screw/test/bent tip", "screw/train/good"])
def test_a_folder_at_another_level_is_answered_by_the_one_that_is_meant(screws, typed):
    root = screws.parent / typed
    with pytest.raises(ValueError) as raised:
        read_samples(DataConfig(root=str(root)))
    assert f"data.root={root} has no known layout; did you mean data.root={screws.parent}? It is" in str(raised.value)


def test_a_folder_above_the_root_is_answered_by_the_root(tmp_path):
    (tmp_path / "all/photos/screw/test").mkdir(parents=True)
    with pytest.raises(ValueError, match=f"did you mean data.root={tmp_path}/all/photos\\? It is laid out as"):
        read_samples(DataConfig(root=str(tmp_path / "all")))


@pytest.mark.parametrize("typed", ["screw/license", "beside"])
def test_a_folder_that_is_no_part_of_a_category_is_answered_by_the_layout(screws, typed):
    (screws / "license").mkdir()
    (screws.parent / "beside").mkdir()
    (screws.parent / typed / "about.txt").touch()
    with pytest.raises(ValueError, match="has no known layout; lay it out as <category>/{train/good,test/<defect>,"):
        read_samples(DataConfig(root=str(screws.parent / typed)))


def break_image(folder: Path) -> Path:
    path = folder / "test/good/000.png"
    path.write_bytes(path.read_bytes()[:50])
    return path


def break_reference(folder: Path) -> Path:
    path = folder / "train/good/000.png"
    path.write_bytes(b"no image at all")
    return path


def resize_mask(folder: Path) -> Path:
    path = folder / "ground_truth/bent tip/000_mask.png"
    write(path, grey(width=21))
    return path


def remove_mask(folder: Path) -> Path:
    path = folder / "ground_truth/bent tip/000_mask.png"
    path.unlink()
    return path


def blacken_mask(folder: Path) -> Path:
    path = folder / "ground_truth/bent tip/000_mask.png"
    write(path, np.zeros((10, 20), np.uint8))
    return path


def empty_class(folder: Path) -> Path:
    path = folder / "test/scratch"
    path.mkdir()
    return path


def remove_references(folder: Path) -> Path:
    path = folder / "train/good"
    for image in path.iterdir():
        image.unlink()
    path.rmdir()
    return path


def break_notes(folder: Path) -> Path:
    path = folder / "annotations.json"
    path.write_text('{"test/good/000.png":\n oops}')
    return path


def note_a_missing_reference(folder: Path) -> Path:
    note = {"reference": "train/good/gone.png", "boxes": [], "labels": [], "rationale": ""}
    (folder / "annotations.json").write_text(json.dumps({"test/good/000.png": note}))
    return folder / "train/good/gone.png"


def note_a_box_outside(folder: Path) -> Path:
    (folder / "annotations.json").write_text(json.dumps({"test/bent tip/000.PNG": {"boxes": [[0, 0, 21, 10]]}}))
    return folder / "annotations.json"


def note_an_unknown_key(folder: Path) -> Path:
    (folder / "annotations.json").write_text(json.dumps({"test/bent tip/000.PNG": {"lables": ["bent"]}}))
    return folder / "annotations.json"


def note_an_image_that_is_not_there(folder: Path) -> Path:
    (folder / "annotations.json").write_text(json.dumps({"test/bent tip/000.png": {}}))
    return folder / "annotations.json"


FAULTS = {
    "entry 'test/bent tip/000.PNG' has the box [0.0, 0.0, 21.0, 10.0] in an image of 20x10": note_a_box_outside,
    "entry 'test/bent tip/000.PNG' has the unknown key 'lables'": note_an_unknown_key,
    "there is no image 'test/bent tip/000.png'": note_an_image_that_is_not_there,
    "the image is damaged": break_image,
    "the image is damaged, or none of PNG": break_reference,
    "the mask is 21x10 and its image 20x10; redraw it": resize_mask,
    "is missing; add it or move the image to test/good": remove_mask,
    "the mask of a defective image is empty": blacken_mask,
    "the folder holds no image": empty_class,
    "the folder is missing": remove_references,
    "line 2 is not JSON": break_notes,
    "the image is missing; restore it": note_a_missing_reference,
}


@pytest.mark.parametrize(("sentence", "damage"), FAULTS.items(), ids=[fault.__name__ for fault in FAULTS.values()])
def test_a_fault_is_one_sentence_that_names_the_file(screws, sentence, damage):
    path = damage(screws)
    with pytest.raises(ValueError) as raised:
        read(screws)
    assert str(raised.value).startswith(f"{path}: ") and sentence in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_category_whose_test_folder_holds_no_folder_is_named(screws):
    shutil.rmtree(screws / "test")
    (screws / "test").mkdir()
    with pytest.raises(ValueError, match=r"screw/test: the folder holds no folder of images, good or one .* remove "):
        read(screws)
