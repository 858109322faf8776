"""Counts of samples in words, and warnings about what they cannot teach or measure."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from rl.data.counts import counted, warnings_of
from rl.types import Sample, Target, Task


def some(category: str, defective: int, normal: int) -> list[Sample]:
    labels = ["defective"] * defective + ["normal"] * normal
    return [
        Sample(id=f"{category}/{number}", images=(), question="Fine?", target=Target(label=label), category=category)
        for number, label in enumerate(labels)
    ]


def test_samples_are_counted_by_label_and_in_few_categories_by_category():
    assert counted(some("cup", 2, 1)) == "3 samples, 2 defective, 1 normal"
    both = [*some("tin", 0, 2), *some("cup", 2, 1)]
    assert counted(both) == "5 samples, 2 defective, 3 normal (defective: cup 2 of 3, tin 0 of 2)"
    many = [sample for number in range(7) for sample in some(f"part{number}", 1, 1)]
    assert counted(many) == "14 samples, 7 defective, 7 normal"


def test_samples_of_both_labels_everywhere_are_no_reason_for_a_warning():
    both = [*some("cup", 2, 2), *some("tin", 1, 1)]
    assert warnings_of(both, both) == []


@pytest.mark.parametrize(("label", "other"), [("defective", "normal"), ("normal", "defective")])
def test_data_of_one_label_are_warned_of_once(label: str, other: str):
    def of_label(category: str) -> list[Sample]:
        return some(category, *((2, 0) if label == "defective" else (0, 2)))

    training, heldout = [*of_label("cup"), *of_label("tin")], [*of_label("cup"), *of_label("tin")]
    assert warnings_of(training, heldout) == [
        f"all 8 samples are {label}: a model that always says so is never wrong; add samples that are {other}"
    ]


@pytest.mark.parametrize(
    ("training", "heldout", "side"),
    [
        (some("cup", 2, 0), some("cup", 1, 1), "2 training"),
        (some("cup", 1, 1), some("cup", 3, 0), "3 held-out"),
    ],
)
def test_a_side_of_one_label_is_named(training: Sequence[Sample], heldout: Sequence[Sample], side: str):
    (sentence,) = warnings_of(training, heldout)
    assert sentence.startswith(f"all {side} samples are defective: ")


def test_all_categories_without_a_label_share_one_sentence():
    training = [*some("cup", 2, 2), *some("jar", 0, 3), *some("tin", 0, 2)]
    (sentence,) = warnings_of(training, [*some("cup", 1, 1), *some("jar", 0, 3), *some("tin", 0, 2)])
    assert sentence.startswith("no sample is defective in categories jar, tin: a model that always says normal there ")


def test_all_categories_without_a_held_out_sample_share_one_sentence():
    training = [sample for number in range(8) for sample in some(f"part{number}", 1, 1)]
    (sentence,) = warnings_of(training, some("part0", 1, 1))
    assert sentence.startswith("no sample is held out of categories part1, part2, part3, part4, part5 and 2 more: ")
    assert "data.heldout_share" in sentence


def test_questions_for_the_place_of_a_defect_need_no_normal_sample():
    samples = [replace(sample, task=Task.grounding) for sample in some("cup", 3, 0)]
    assert warnings_of(samples, samples) == []
