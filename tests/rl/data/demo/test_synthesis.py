"""The demo's generator: seeded, in MVTec-AD layout, with boxes that are those of its masks."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rl.data.config import KNOWLEDGE
from rl.data.demo.synthesis import CONTRASTS, DEFECTS, MATERIALS, SIZE, make_part, rationale, write_demo
from rl.data.masks import mask_boxes


def files(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("demo")
    write_demo(root, seed=7, num_parts=12)
    return root


def test_the_same_seed_writes_the_same_bytes(demo, tmp_path):
    write_demo(tmp_path, seed=7, num_parts=12)
    assert files(tmp_path) == files(demo)


def test_another_seed_writes_other_images(demo, tmp_path):
    write_demo(tmp_path, seed=8, num_parts=12)
    other = files(tmp_path)
    images = [name for name in files(demo) if "/train/" in name]
    assert images and all(other[name] != files(demo)[name] for name in images)


def test_a_longer_run_begins_with_the_parts_of_a_shorter_one(demo, tmp_path):
    write_demo(tmp_path, seed=7, num_parts=14)
    longer = files(tmp_path)
    assert all(longer[name] == data for name, data in files(demo).items() if name.endswith(".png"))


def test_the_layout_is_mvtecs(demo):
    assert {path.name for path in demo.iterdir()} == {*MATERIALS, KNOWLEDGE}
    for folder in (demo / material for material in MATERIALS):
        assert {path.name for path in folder.iterdir()} == {"train", "test", "ground_truth", "annotations.json"}
        assert {path.name for path in (folder / "test").iterdir()} == {"good", *DEFECTS}
        assert len(list((folder / "test/good").iterdir())) == 6
        for defect in DEFECTS:
            images = sorted(path.stem for path in (folder / "test" / defect).iterdir())
            masks = sorted(path.stem for path in (folder / "ground_truth" / defect).iterdir())
            assert len(images) == 2 and masks == [f"{name}_mask" for name in images]


def test_the_noted_boxes_are_those_of_the_masks(demo):
    for folder in (demo / material for material in MATERIALS):
        notes = json.loads((folder / "annotations.json").read_text())
        for name, note in notes.items():
            if "/good/" in name:
                assert note["boxes"] == []
                continue
            mask = folder / name.replace("test/", "ground_truth/").replace(".png", "_mask.png")
            with Image.open(mask) as image:
                found = mask_boxes(np.asarray(image) > 0)
            assert [tuple(box) for box in note["boxes"]] == list(found)


@pytest.mark.parametrize("material", MATERIALS)
@pytest.mark.parametrize("defect", DEFECTS)
def test_a_defect_changes_the_part_where_its_mask_says(material, defect):
    rng = np.random.default_rng(0)
    part = make_part(rng, material, defect, (0.4, 0.4))
    change = np.abs(part.query.astype(int) - part.reference.astype(int)).max(axis=-1)
    assert change[part.mask].mean() > 2 * change[~part.mask].mean()


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_defect_is_wide_high_and_within_the_image(defect):
    rng = np.random.default_rng(1)
    for _ in range(200):
        x1, y1, x2, y2 = make_part(rng, "metal", defect, CONTRASTS).box
        assert 0 <= x1 < x2 <= SIZE and 0 <= y1 < y2 <= SIZE
        assert min(x2 - x1, y2 - y1) >= 10


def test_the_light_tells_where_a_patch_lies():
    part = make_part(np.random.default_rng(2), "leather", None, CONTRASTS)
    image = part.query.astype(float)
    red, blue = image[..., 0] - image[..., 1], image[..., 2] - image[..., 1]
    assert red[:, -28:].mean() - red[:, :28].mean() > 40
    assert blue[-28:].mean() - blue[:28].mean() > 40


def test_a_normal_part_has_no_box_and_says_so():
    part = make_part(np.random.default_rng(3), "wood", None, CONTRASTS)
    assert part.box is None and not part.mask.any() and rationale(part) == "No difference."


def test_a_rationale_names_the_defect_and_its_place():
    rng = np.random.default_rng(4)
    part = make_part(rng, "fabric", "hole", CONTRASTS)
    while not (part.box[2] < SIZE / 3 and part.box[3] < SIZE / 3):
        part = make_part(rng, "fabric", "hole", CONTRASTS)
    assert rationale(part) == "A hole at the top left."
