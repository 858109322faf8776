"""The truth about photos, and how well predictions agree with it."""

from pathlib import Path

import pytest

from launch.predict.predictions import Prediction
from launch.predict.truth import Truth, counts_by_truth, image_metrics, truth_of
from rl.data.photos import Photo

ROOT = Path("/photos")
MASK, EMPTY = Path("/masks/cut.png"), Path("/masks/even.png")


def photos(*names: str) -> list[Photo]:
    return [Photo(id=Path(name).with_suffix("").as_posix(), path=ROOT / name) for name in names]


def answered(truth: str | None, verdict: str | None, p_yes: float | None = None) -> Prediction:
    return Prediction(id="a", image="/a.png", truth=truth, verdict=verdict, p_yes=p_yes)


def test_masks_tell_the_truth_and_an_empty_one_or_none_means_free_of_defects():
    cut, even, bare = (
        Photo(id=name, path=ROOT / f"hole/{name}.png", mask=mask)
        for name, mask in (("cut", MASK), ("even", EMPTY), ("bare", None))
    )
    found = truth_of([cut, even, bare], {EMPTY})
    assert found.labels == {"cut": "defective", "even": "normal", "bare": "normal"}
    assert found.source == "masks" and "an image without a mask, or with an empty one" in found.sentence


def test_a_folder_good_beside_others_tells_the_truth():
    found = truth_of(photos("good/1.png", "hole/1.png", "scratch/1.png"), ())
    assert found.labels == {"good/1": "normal", "hole/1": "defective", "scratch/1": "defective"}
    assert found.source == "folders"
    assert found.sentence == (
        "The folders' names tell the truth: images in good are free of defects, those in hole, scratch have one."
    )


@pytest.mark.parametrize(
    "names",
    [
        ("1.png", "2.png"),
        ("good/1.png", "good/2.png"),
        ("monday/1.png", "tuesday/1.png"),
        ("good/1.png", "2.png"),
        ("a/good/1.png", "b/hole/1.png"),
        ("Good/1.png", "hole/1.png"),
    ],
)
def test_other_folders_tell_nothing(names):
    assert truth_of(photos(*names), ()) == Truth()


def test_only_photos_beside_good_are_labelled():
    found = truth_of(photos("train/good/1.png", "test/good/1.png", "test/hole/1.png", "extra.png"), ())
    assert found.labels == {"test/good/1": "normal", "test/hole/1": "defective"}


def test_many_folders_of_defects_are_not_all_named():
    found = truth_of(photos("good/1.png", *(f"kind{number}/1.png" for number in range(6))), ())
    assert "kind0, kind1, kind2, kind3 and others have one" in found.sentence


PREDICTIONS = [
    answered("defective", "defective", 0.9),
    answered("defective", "normal", 0.4),
    answered("normal", "normal", 0.2),
    answered("normal", "defective", 0.6),
    answered("normal", None),
    answered(None, "defective", 0.99),
    Prediction(id="b", image="/b.png", error="damaged"),
]


def test_an_unreadable_answer_is_wrong_and_images_of_unknown_truth_do_not_count():
    assert image_metrics(PREDICTIONS)["image_accuracy"] == 2 / 5
    assert counts_by_truth(PREDICTIONS) == {
        "defective": {"defective": 1, "normal": 1, "unreadable": 0},
        "normal": {"defective": 1, "normal": 1, "unreadable": 1},
    }
    assert [each.is_wrong for each in PREDICTIONS] == [False, True, False, True, True, False, False]


def test_image_auroc_ranks_by_the_probability_and_puts_unreadable_answers_in_the_middle():
    # Normal: 0.2, 0.6, 0.5. The defect at 0.9 is above three of them, the one at 0.4 above one.
    assert image_metrics(PREDICTIONS)["image_auroc"] == pytest.approx(4 / 6)


def test_a_verdict_without_a_probability_ranks_first_or_last():
    assert [answered(None, verdict).score for verdict in ("defective", "normal", None)] == [1, 0, 0.5]


def test_one_label_alone_has_an_accuracy_and_no_auroc():
    assert image_metrics([answered("normal", "normal", 0.1)]) == {"image_accuracy": 1.0}
    assert image_metrics([answered(None, "normal", 0.1)]) == {}
