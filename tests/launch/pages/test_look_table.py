import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from builders.groups_with_looks import look, looked
from builders.scored_groups import group, score
from launch.pages.look_table import looks_section, recorded_maps, spread
from rl.evaluation.kept_maps import KeptMap, maps_file, write_maps
from rl.evaluation.look_pictures import TOP, TRUE, inspected, with_map, with_truth
from rl.types import Group

BOX = ((2.0, 2.0, 6.0, 6.0),)
GREY = (90, 90, 90)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "part.png"
    Image.new("RGB", (40, 40), GREY).save(path)
    return path


@pytest.fixture
def mask(tmp_path: Path) -> Path:
    """Mask of 400 x 400 pixels with a scratch one pixel wide."""
    path = tmp_path / "mask.png"
    pixels = np.zeros((400, 400), np.uint8)
    pixels[201, 100:300] = 255
    Image.fromarray(pixels).save(path)
    return path


def part(image: Path, number: int = 0, *, defective: bool = True, mask: Path | None = None) -> Group:
    return looked(group([score()], boxes=BOX if defective else (), number=number, images=(image,)), mask=mask)


def kept(agreement: float = 0.5, heat: Sequence[Sequence[float]] = ((0.0, 2.0), (0.0, 0.0))) -> KeptMap:
    return KeptMap(heat=np.array(heat, np.float32), agreement=agreement)


def marked(picture: Image.Image) -> np.ndarray:
    return (np.asarray(picture) == TRUE).all(axis=2)


def test_a_masks_outline_runs_around_the_thinnest_defect(image: Path, mask: Path) -> None:
    shown = part(image, mask=mask).prompt
    edge = marked(with_truth(inspected(shown, 40), shown))
    assert edge.any() and not edge[20, 12:28].any()
    assert edge[18, 12:28].all() and edge[22, 12:28].all() and not edge[:17].any()


def test_without_a_mask_the_true_boxes_are_drawn_in_the_pictures_scale(image: Path) -> None:
    # Boxes refer to 10 x 10, the picture is 40 x 40.
    shown = part(image).prompt
    edge = marked(with_truth(inspected(shown, 40), shown))
    rows, columns = np.nonzero(edge)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (8, 24, 8, 24)
    assert not edge[12:20, 12:20].any()
    normal = part(image, defective=False).prompt
    assert not marked(with_truth(inspected(normal, 40), normal)).any()


def test_the_colour_of_a_place_does_not_depend_on_the_rest_of_the_map(image: Path) -> None:
    picture = inspected(part(image).prompt, 40)
    calm, wild = kept(heat=[[2.0, 0.0]]), kept(heat=[[2.0, 50.0]])
    first, second = (with_map(picture, each, "nearest").getpixel((5, 5)) for each in (calm, wild))
    assert first == second != GREY
    beyond = with_map(picture, kept(heat=[[TOP, 50.0]]), "nearest")
    assert beyond.getpixel((5, 5)) == beyond.getpixel((35, 5))


def test_the_section_has_a_row_a_sample_and_a_column_an_evaluation(image: Path) -> None:
    groups = [part(image, 1), part(image, 2, defective=False)]
    first, second = (each.prompt.sample.id for each in groups)
    found = {0: {first: kept(0.25), second: kept(0.25)}, 20: {first: kept(0.5), second: kept(0.0)}}
    drawn = looks_section(found, groups, "bilinear", (0.3, 0.1))
    assert re.findall("<th>(.*?)</th>", drawn) == ["Inspected", "Before training", "After 20 steps"]
    assert drawn.count("<tr>") == 3 and drawn.count("data:image/jpeg;base64,") == 6
    # A defect earns above 0.3, a normal part below 0.1.
    chips = re.findall(r'<span class="(chip[^"]*)">J ([\d.]+)</span>', drawn)
    assert chips == [("chip", "0.25"), ("chip good", "0.50"), ("chip", "0.25"), ("chip good", "0.00")]
    assert f"{TOP:g}× of an even look" in drawn and "green" in drawn
    unrewarded = looks_section(found, groups, "bilinear", None)
    assert "chip good" not in unrewarded and "green" not in unrewarded


def test_a_missing_map_is_a_dash_and_samples_that_are_gone_are_left_out(image: Path) -> None:
    here = part(image, 1)
    name = here.prompt.sample.id
    drawn = looks_section({0: {"gone": kept()}, 20: {name: kept(), "gone": kept()}}, [here], "bilinear", None)
    assert drawn.count("<tr>") == 2 and "<td>–</td>" in drawn and "gone" not in drawn
    assert looks_section({0: {"gone": kept()}}, [here], "bilinear", None) == ""
    assert looks_section({}, [here], "bilinear", None) == ""


def test_six_of_many_evaluations_are_shown_with_the_first_and_the_last(image: Path) -> None:
    here = part(image)
    found = {step: {here.prompt.sample.id: kept()} for step in range(0, 110, 10)}
    drawn = looks_section(found, [here], "bilinear", None)
    assert re.findall(r"After (\d+) steps", drawn) == ["20", "40", "60", "80", "100"]
    assert "6 of 11 evaluations" in drawn
    assert spread([5], 6) == [5]


def test_ids_are_escaped(image: Path) -> None:
    hostile = looked(group([score()], category="<b>", images=(image,)))
    drawn = looks_section({0: {hostile.prompt.sample.id: kept()}}, [hostile], "bilinear", None)
    assert "<b>" not in drawn and "&lt;b&gt;/test/000" in drawn


def test_only_evaluations_that_the_run_recorded_are_read(tmp_path: Path) -> None:
    for step in (0, 20, 40):
        write_maps(maps_file(tmp_path, step), [looked(group([score()]), look(step / 100, rdam=[[1.0]]))])
    # The run was resumed at 20 and has not reached 40 again; its evaluation after 10 steps kept no maps.
    rows = [{"step": float(step), "eval/heldout/samples": 1.0} for step in (0, 10, 20)]
    rows.append({"step": 40.0, "reward/mean": 1.0})
    found = recorded_maps(tmp_path, rows)
    assert {step: [each.agreement for each in maps.values()] for step, maps in found.items()} == {0: [0.0], 20: [0.2]}
