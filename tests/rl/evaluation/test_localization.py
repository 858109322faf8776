from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score

from builders.groups_with_looks import look, looked
from builders.scored_groups import group, score
from rl.evaluation.localization import localization_metrics, mean_look, times_even
from rl.types import Group

BOX = ((2.0, 2.0, 6.0, 6.0),)


@pytest.fixture
def mask(tmp_path: Path) -> Path:
    """Write a mask of 4 x 2 pixels, the left half defective."""
    path = tmp_path / "mask.png"
    Image.fromarray(np.array([[255, 255, 0, 0]] * 2, np.uint8)).save(path)
    return path


def defective(rdam: Sequence[Sequence[float]], mask: Path | None, every: Sequence[Sequence[float]] = ()) -> Group:
    return looked(group([score()], boxes=BOX), look(rdam=rdam, every=every), mask=mask)


def normal(rdam: Sequence[Sequence[float]], image: Path) -> Group:
    return looked(group([score()], images=(image,)), look(rdam=rdam))


def test_a_map_that_is_high_on_the_defect_alone_is_perfect(mask: Path) -> None:
    found = localization_metrics([defective([[0.5, 0.25]], mask, every=[[0.25, 0.25]])], "nearest")
    assert found == {
        "pixel_auroc": 1,
        "pixel_aupr": 1,
        "pixel_aupro": 1,
        "pixel_f1_max": 1,
        "pixel_accuracy": 1,
        "pixel_auroc_all_tokens": 0.5,
    }


def test_maps_are_compared_at_the_size_of_the_mask_as_the_resize_makes_them(mask: Path) -> None:
    # Of two columns 4, 0 bilinear makes 4, 3, 1, 0 and of 0, 4 the reverse: pixels 4 3 | 1 0 and 0 1 | 3 4.
    groups = [defective([[4.0, 0.0]], mask), defective([[0.0, 4.0]], mask)]
    expected = roc_auc_score([1, 1, 0, 0] * 2, [4, 3, 1, 0, 0, 1, 3, 4])
    assert localization_metrics(groups, "bilinear")["pixel_auroc"] == pytest.approx(expected)


def test_every_pixel_of_a_normal_sample_is_normal_at_the_size_of_its_file(mask: Path, tmp_path: Path) -> None:
    Image.new("RGB", (3, 2)).save(tmp_path / "normal.png")
    # 4 defective pixels at 2 against 4 normal ones at 0 and six at 3; the model saw 10 x 10.
    groups = [defective([[2.0, 0.0]], mask), normal([[3.0, 3.0]], tmp_path / "normal.png")]
    assert localization_metrics(groups, "nearest")["pixel_auroc"] == pytest.approx(0.4)


def test_a_defective_sample_without_a_mask_is_left_out(mask: Path) -> None:
    known = defective([[2.0, 1.0]], mask)
    assert localization_metrics([known, defective([[0.0, 9.0]], None)], "nearest")["pixel_auroc"] == 1
    assert localization_metrics([defective([[0.0, 9.0]], None), normal([[1.0]], mask)], "nearest") == {}


def test_without_maps_there_are_no_metrics(mask: Path) -> None:
    unseen = looked(group([score()], boxes=BOX), mask=mask)
    assert localization_metrics([unseen], "nearest") == {}
    assert localization_metrics([looked(unseen, look(), mask=mask)], "nearest") == {}


def test_an_even_look_is_1_however_much_attention_and_however_large_the_image() -> None:
    for places in (4, 100):
        for attention in (0.01, 1.5):
            rdam = np.full((2, places // 2), attention / places, np.float32)
            assert times_even(rdam) == pytest.approx(np.ones((2, places // 2)))
    assert times_even(np.zeros((2, 2), np.float32)).tolist() == [[0, 0], [0, 0]]


def test_the_number_of_selected_tokens_does_not_change_the_map(mask: Path) -> None:
    # The same look by one token and by two.
    one, two = look(weights=(1.0,), rdam=[[0.2, 0.4]]), look(weights=(1.0, 1.0), rdam=[[0.4, 0.8]])
    assert mean_look(one) == pytest.approx(mean_look(two))
