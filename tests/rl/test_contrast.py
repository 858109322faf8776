"""Which groups lack contrast, who is to join them, and what a step learns from."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from builders.scored_groups import completion, group, score
from rl.algorithm import AlgoConfig
from rl.contrast import Draw, Repair, hinted, joined, lacks_contrast, plan_repair, untruths
from rl.types import Completion, Group, Origin, Score, Target, Task

OPTIONS = {"A": "hole", "B": "No defect", "C": "cut"}


def told(of_group: Group, *, task: Task = Task.boxes, **target: object) -> Group:
    """The group with another truth."""
    sample = replace(of_group.prompt.sample, task=task, target=replace(of_group.prompt.sample.target, **target))
    return replace(of_group, prompt=replace(of_group.prompt, sample=sample, target=sample.target))


def right(count: int = 4, **target: object) -> Group:
    """A group whose completions are all right, with a reference text."""
    return told(group([score()] * count), rationale="Even.", **target)


def wrong(count: int = 4) -> Group:
    return told(group([score(accuracy=0, box=0)] * count), rationale="Even.")


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
def test_contrast_is_two_different_totals_among_those_that_were_judged(totals: Sequence[float | None], lacks: bool):
    assert lacks_contrast(group([Score(total=total, components={}) for total in totals])) == lacks


def test_a_group_with_contrast_stays_as_it_is():
    assert plan(told(group([score(), score(box=0)]), rationale="Even.")) is None


def test_the_reference_text_joins_a_group_that_is_all_wrong_in_one_place():
    repair = plan(wrong())
    assert (repair.origin, len(repair.places), repair.untruth) == (Origin.reference_text, 1, "")


def test_two_negatives_join_a_group_that_is_all_right_under_the_opposite_of_the_truth():
    repair = plan(right())
    assert (repair.origin, len(set(repair.places)), repair.untruth) == (Origin.teacher, 2, "defective")
    assert plan(right(label="defective")).untruth == "normal"


def test_a_right_one_always_stays():
    assert len(plan(right(2)).places) == 1


def test_without_a_teacher_the_reference_text_is_tried_where_all_are_right():
    assert plan(right(), has_teacher=False).origin is Origin.reference_text


def test_a_group_that_is_partly_right_and_earns_the_same_gets_the_reference_text():
    same = [Score(total=1.0, components={"accuracy": value, "box": 1 - value}) for value in (0.0, 1.0)]
    assert plan(told(group(same), rationale="Even.")).origin is Origin.reference_text


def test_there_is_nothing_to_be_had_for_wrong_answers_without_a_reference_text():
    assert plan(group([score(accuracy=0)] * 4)) is None


def test_an_option_is_right_by_the_choice_and_not_by_the_verdict():
    def answers(choice: float) -> Group:
        scores = [Score(total=choice, components={"accuracy": 0.0, "choice": choice})] * 3
        return told(group(scores), task=Task.choice, rationale="Even.", option="B", options=OPTIONS)

    assert plan(answers(1.0)).origin is Origin.teacher
    assert plan(answers(1.0)).untruth in ("A", "C")
    assert plan(answers(0.0)).origin is Origin.reference_text


def test_a_reward_that_measures_no_verdict_leaves_the_reference_text():
    scores = [Score(total=0.4, components={"grounding": 0.4})] * 3
    assert plan(told(group(scores), task=Task.grounding, rationale="Even.")).origin is Origin.reference_text


def test_chance_depends_on_step_and_sample_alone():
    places = {step: plan(right(8), step=step).places for step in range(20)}
    assert places == {step: plan(right(8), step=step).places for step in reversed(range(20))}
    assert len(set(places.values())) > 10


def test_the_untruths_of_a_sample_are_the_other_verdict_or_the_other_options():
    target = Target(label="normal", option="B", options=OPTIONS)
    assert untruths(Task.boxes, target) == ["defective"]
    assert untruths(Task.grid, target) == ["A", "C"]
    assert untruths(Task.grounding, Target(label="defective")) == []


def test_the_hint_stands_behind_the_question_and_says_the_opposite():
    asked = hinted(right().prompt.sample, "defective").question
    assert asked.startswith("Any defect?\n") and "this sample is abnormal" in asked
    assert "this sample is normal" in hinted(right(label="defective").prompt.sample, "normal").question
    choice = told(right(), task=Task.choice, option="B", options=OPTIONS)
    assert "the right option is C, cut" in hinted(choice.prompt.sample, "C").question


def test_newcomers_take_their_places_and_the_group_is_to_be_judged_anew():
    before = right()
    repair = replace(plan(before), places=(3, 0))
    after = joined(repair, [by(Origin.teacher, "one"), by(Origin.teacher, "two")])
    assert [each.text for each in after.completions] == ["two", *[before.completions[0].text] * 2, "one"]
    assert after.scores == ()


def test_fewer_newcomers_than_places_replace_fewer():
    after = joined(plan(right()), [by(Origin.teacher)])
    assert [each.origin for each in after.completions].count(Origin.teacher) == 1


FLAT, VARIED = group([score()] * 2), group([score(), score(box=0)])


def drawn(repaired: Sequence[Group]) -> Draw:
    return Draw(sampled=list(repaired), repaired=list(repaired))


def test_a_batch_that_has_no_more_than_it_needs_is_what_was_drawn():
    groups = [FLAT, VARIED, FLAT]
    assert all(found is given for found, given in zip(drawn(groups).batch(3), groups, strict=True))


def test_groups_without_contrast_fill_a_batch_up_from_the_last_drawn():
    groups = [replace(each, reference_logprobs=((float(number),),)) for number, each in enumerate([FLAT, VARIED] * 3)]
    batch = drawn(groups).batch(4)
    assert [int(each.reference_logprobs[0][0]) for each in batch] == [1, 3, 4, 5]


def test_shares_are_of_all_groups_that_were_drawn():
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


def test_a_run_that_takes_groups_as_they_come_has_no_such_metrics():
    assert drawn([FLAT]).metrics(AlgoConfig()) == {}
