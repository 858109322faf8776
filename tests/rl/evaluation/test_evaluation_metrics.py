from dataclasses import replace

import pytest

from builders.groups_with_looks import look, looked
from builders.scored_groups import group, score
from rl.evaluation.metrics import category_metrics, evaluation_metrics
from rl.types import Group, Score, Task

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
            "reward": (2.8 + 2.4 + 1 + 3 + 0) / 5,
            "samples": 5,
        }
    )


def test_undefined_metrics_are_left_out() -> None:
    only_normal = evaluation_metrics([group([score()])])
    assert only_normal == {"accuracy": 1, "balanced_accuracy": 1, "format": 1, "reward": 3, "samples": 1}


def test_an_unreadable_verdict_counts_as_the_opposite_of_the_truth() -> None:
    groups = [group([score(0, 0, 0)], boxes=BOX), group([score(0, 0, 0)])]
    metrics = evaluation_metrics(groups)
    assert (metrics["recall"], metrics["precision"]) == (0, 0)


def test_unknown_true_boxes_do_not_lower_the_overlap() -> None:
    groups = [group([score(box=0.5)], boxes=BOX), group([score(box=None)], boxes=BOX)]
    assert evaluation_metrics(groups)["mean_iou"] == 0.5


def test_agreement_is_averaged_by_label_over_the_answers_that_have_one() -> None:
    groups = [
        looked(group([score()], boxes=BOX), look(0.5)),
        looked(group([score()], boxes=BOX), look(0.25)),
        group([score()], boxes=BOX),
        looked(group([score()]), look(0.0)),
    ]
    metrics = evaluation_metrics(groups)
    assert (metrics["agreement_defective"], metrics["agreement_normal"]) == (0.375, 0)
    assert "agreement_normal" not in evaluation_metrics(groups[:2])


def asked(task: Task, components: dict[str, float | None], **options) -> Group:
    total = sum(value or 0 for value in components.values())
    made = group([Score(total=total, components=components)], **options)
    sample = replace(made.prompt.sample, task=task)
    return replace(made, prompt=replace(made.prompt, sample=sample))


def test_a_choice_is_right_by_its_option_and_has_no_recall() -> None:
    groups = [
        asked(Task.choice, {"choice": 1.0, "roam": 1.0}, boxes=BOX),
        asked(Task.choice, {"choice": 0.0, "roam": 0.1}),
    ]
    metrics = evaluation_metrics(groups)
    assert metrics == {"accuracy": 0.5, "format": 1, "reward": pytest.approx(1.05), "samples": 2}


def test_knowledge_is_averaged_over_the_answers_that_were_offered_some() -> None:
    groups = [asked(Task.routed, {"choice": 0.0, "knowledge": named}) for named in (1.0, 0.0, 1.0, 1.0, None)]
    metrics = evaluation_metrics(groups)
    assert (metrics["accuracy"], metrics["knowledge"]) == (0, 0.75)
    assert "knowledge" not in evaluation_metrics([asked(Task.choice, {"choice": 1.0})])


def test_a_place_is_right_from_an_iou_of_one_half_on() -> None:
    groups = [asked(Task.grounding, {"grounding": overlap}, boxes=BOX) for overlap in (0.9, 0.5, 0.4)]
    metrics = evaluation_metrics(groups)
    assert (metrics["accuracy"], metrics["iou50"]) == (pytest.approx(2 / 3), pytest.approx(2 / 3))
    assert metrics["mean_iou"] == pytest.approx(0.6)


def test_without_a_component_for_correctness_there_is_no_accuracy() -> None:
    metrics = evaluation_metrics([asked(Task.boxes, {"iad_r1": 1.5}, boxes=BOX)])
    assert metrics == {"format": 1, "reward": 1.5, "samples": 1}
    unjudged = evaluation_metrics([asked(Task.boxes, {"accuracy": None, "format": 1.0})])
    assert "accuracy" not in unjudged


def test_each_category_gets_its_own_metrics_in_order() -> None:
    groups = [group([score()], category="wood"), group([score(1, 0, 0)], category="felt")]
    table = category_metrics(groups)
    assert list(table) == ["felt", "wood"]
    assert (table["felt"]["accuracy"], table["wood"]["accuracy"]) == (0, 1)


def test_an_evaluation_takes_one_completion_per_group() -> None:
    with pytest.raises(ValueError, match="too many values"):
        evaluation_metrics([group([score(), score()])])
