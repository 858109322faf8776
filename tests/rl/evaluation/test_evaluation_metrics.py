import pytest
from scored_groups import group, score

from rl.evaluation.metrics import category_metrics, evaluation_metrics

BOX = ((2.0, 2.0, 6.0, 6.0),)


def test_metrics_follow_from_the_confusion_table() -> None:
    # Defective: two found (IoU 0.8 and 0.4), one missed. Normal: one right, one false alarm.
    groups = [
        group([score(1, 1, 0.8)], boxes=BOX),
        group([score(1, 1, 0.4)], boxes=BOX),
        group([score(1, 0, 0.0)], boxes=BOX),
        group([score(1, 1, 1.0)]),
        group([score(0, 0, 0.0)]),
    ]
    assert evaluation_metrics(groups) == pytest.approx(
        {
            "accuracy": 3 / 5,
            "balanced_accuracy": (2 / 3 + 1 / 2) / 2,
            "recall": 2 / 3,
            "precision": 2 / 3,
            "mean_iou": 0.4,
            "iou50": 1 / 3,
            "format": 4 / 5,
            "samples": 5,
        }
    )


def test_what_is_not_defined_is_left_out() -> None:
    only_normal = evaluation_metrics([group([score()])])
    assert only_normal == {"accuracy": 1, "balanced_accuracy": 1, "format": 1, "samples": 1}


def test_an_unreadable_verdict_is_a_miss_on_a_defective_and_an_alarm_on_a_normal_part() -> None:
    groups = [group([score(0, 0, 0)], boxes=BOX), group([score(0, 0, 0)])]
    metrics = evaluation_metrics(groups)
    assert (metrics["recall"], metrics["precision"]) == (0, 0)


def test_unknown_true_boxes_do_not_lower_the_overlap() -> None:
    groups = [group([score(box=0.5)], boxes=BOX), group([score(box=None)], boxes=BOX)]
    assert evaluation_metrics(groups)["mean_iou"] == 0.5


def test_each_category_gets_its_own_metrics_in_order() -> None:
    groups = [group([score()], category="wood"), group([score(1, 0, 0)], category="felt")]
    table = category_metrics(groups)
    assert list(table) == ["felt", "wood"]
    assert (table["felt"]["accuracy"], table["wood"]["accuracy"]) == (0, 1)


def test_an_evaluation_takes_one_completion_a_group() -> None:
    with pytest.raises(ValueError, match="too many values"):
        evaluation_metrics([group([score(), score()])])
