"""The groups that lack contrast, the plan of their repair, and the groups that a step learns from."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from builders.scored_groups import completion, group, score
from rl.algorithm import AlgoConfig
from rl.contrast import Draw, Repair, hinted, joined, lacks_contrast, plan_repair, untruths
from rl.types import Completion, Group, Origin, Score, Target, Task

OPTIONS = {"A": "hole", "B": "No defect", "C": "cut"}


def with_truth(of_group: Group, *, task: Task = Task.boxes, **target: object) -> Group:
    """Return the group with another task and target."""
    sample = replace(of_group.prompt.sample, task=task, target=replace(of_group.prompt.sample.target, **target))
    return replace(of_group, prompt=replace(of_group.prompt, sample=sample, target=sample.target))


def right(count: int = 4, **target: object) -> Group:
    """Return a group whose completions are all right, with a reference text."""
    return with_truth(group([score()] * count), rationale="Even.", **target)


def wrong(count: int = 4) -> Group:
    return with_truth(group([score(accuracy=0, box=0)] * count), rationale="Even.")


def plan(of_group: Group, *, step: int = 0, has_teacher: bool = True) -> Repair | None:
    return plan_repair(of_group, step=step, has_teacher=has_teacher)


def by(origin: Origin, text: str = "another") -> Completion:
    return replace(completion(text), origin=origin, logprobs=())


@pytest.mark.parametrize(
    ("totals", "lacks"),
    [
        ([1.0, 1.0], True),
        ([1.0, 0.0], False),
        ([1.0, None, 1.0], True),
        ([1.0, None, 0.5], False),
        ([0.7, None], True),
        ([None, None], True),
    ],
)
def test_contrast_needs_two_different_totals_among_the_judged(totals: Sequence[float | None], lacks: bool):
    assert lacks_contrast(group([Score(total=total, components={}) for total in totals])) == lacks


def test_a_group_with_contrast_is_not_repaired():
    assert plan(with_truth(group([score(), score(box=0)]), rationale="Even.")) is None


def test_the_reference_text_replaces_one_completion_of_an_all_wrong_group():
    repair = plan(wrong())
    assert (repair.origin, len(repair.places), repair.untruth) == (Origin.reference_text, 1, "")


def test_two_negatives_with_the_opposite_verdict_join_an_all_right_group():
    repair = plan(right())
    assert (repair.origin, len(set(repair.places)), repair.untruth) == (Origin.teacher, 2, "defective")
    assert plan(right(label="defective")).untruth == "normal"


def test_at_least_one_right_completion_stays():
    assert len(plan(right(2)).places) == 1


def test_without_a_teacher_an_all_right_group_gets_the_reference_text():
    assert plan(right(), has_teacher=False).origin is Origin.reference_text


def test_a_partly_right_group_of_equal_totals_gets_the_reference_text():
    same = [Score(total=1.0, components={"accuracy": value, "box": 1 - value}) for value in (0.0, 1.0)]
    assert plan(with_truth(group(same), rationale="Even.")).origin is Origin.reference_text


def test_an_all_wrong_group_without_a_reference_text_is_not_repaired():
    assert plan(group([score(accuracy=0)] * 4)) is None


def test_an_option_is_right_by_the_component_choice_and_not_by_accuracy():
    def answers(choice: float) -> Group:
        scores = [Score(total=choice, components={"accuracy": 0.0, "choice": choice})] * 3
        return with_truth(group(scores), task=Task.choice, rationale="Even.", option="B", options=OPTIONS)

    assert plan(answers(1.0)).origin is Origin.teacher
    assert plan(answers(1.0)).untruth in ("A", "C")
    assert plan(answers(0.0)).origin is Origin.reference_text


def test_without_a_measured_verdict_a_group_gets_the_reference_text():
    scores = [Score(total=0.4, components={"grounding": 0.4})] * 3
    assert plan(with_truth(group(scores), task=Task.grounding, rationale="Even.")).origin is Origin.reference_text


def test_random_places_depend_on_step_and_sample_alone():
    places = {step: plan(right(8), step=step).places for step in range(20)}
    assert places == {step: plan(right(8), step=step).places for step in reversed(range(20))}
    assert len(set(places.values())) > 10


def test_the_untruths_of_a_sample_are_the_other_verdict_or_the_other_options():
    target = Target(label="normal", option="B", options=OPTIONS)
    assert untruths(Task.boxes, target) == ["defective"]
    assert untruths(Task.grid, target) == ["A", "C"]
    assert untruths(Task.grounding, Target(label="defective")) == []


def test_the_hint_follows_the_question_and_states_the_untruth():
    asked = hinted(right().prompt.sample, "defective").question
    assert asked.startswith("Any defect?\n") and "this sample is abnormal" in asked
    assert "this sample is normal" in hinted(right(label="defective").prompt.sample, "normal").question
    choice = with_truth(right(), task=Task.choice, option="B", options=OPTIONS)
    assert "the right option is C, cut" in hinted(choice.prompt.sample, "C").question


def test_newcomers_take_their_places_and_the_scores_are_dropped():
    before = right()
    repair = replace(plan(before), places=(3, 0))
    after = joined(repair, [by(Origin.teacher, "one"), by(Origin.teacher, "two")])
    texts = [answer.text for answer in after.completions]
    assert texts == ["two", *[before.completions[0].text] * 2, "one"]
    assert after.scores == ()


def test_fewer_newcomers_than_places_replace_fewer():
    after = joined(plan(right()), [by(Origin.teacher)])
    assert [answer.origin for answer in after.completions].count(Origin.teacher) == 1


FLAT, VARIED = group([score()] * 2), group([score(), score(box=0)])


def drawn(repaired: Sequence[Group]) -> Draw:
    return Draw(sampled=list(repaired), repaired=list(repaired))


def test_a_draw_without_surplus_is_the_batch():
    groups = [FLAT, VARIED, FLAT]
    assert all(found is given for found, given in zip(drawn(groups).batch(3), groups, strict=True))


def test_the_last_groups_without_contrast_fill_up_the_batch():
    groups = [replace(item, reference_logprobs=((float(number),),)) for number, item in enumerate([FLAT, VARIED] * 3)]
    batch = drawn(groups).batch(4)
    assert [int(item.reference_logprobs[0][0]) for item in batch] == [1, 3, 4, 5]


def test_contrastive_metrics_are_shares_of_all_groups_drawn():
    helped = [
        replace(VARIED, completions=(by(Origin.reference_text), completion())),
        replace(VARIED, completions=(by(Origin.teacher), completion())),
    ]
    both = AlgoConfig(num_prompts=4, contrastive=True, max_refills=3)
    assert drawn([*helped, FLAT, FLAT, VARIED]).metrics(both) == {
        "contrastive/left": 0.4,
        "contrastive/repaired_all_wrong": 0.2,
        "contrastive/repaired_all_right": 0.2,
        "contrastive/left_out": 0.2,
    }


def test_a_run_without_repair_and_refills_has_no_contrastive_metrics():
    assert drawn([FLAT]).metrics(AlgoConfig()) == {}
