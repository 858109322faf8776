"""Pairs of trajectories: what is asked of a teacher, what is verified, and what becomes of refusals."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import pytest

from rl.data.config import Choice
from rl.data.knowledge.entries import Entry
from rl.data.knowledge.offers import Offer
from rl.data.pairs.config import RoutingConfig
from rl.data.pairs.trajectories import (
    Order,
    Pairing,
    TemplateTeacher,
    is_pair,
    pairing,
    seed_of,
    why_left_out,
    write_pairs,
)
from rl.types import Sample, Target, Task


def entry(name: str) -> Entry:
    return Entry(dataset="d", object="metal", defect=name.lower(), name=name, text=f"It is as a {name} is known to be.")


CRACK, STAIN, HOLE = map(entry, ("Crack", "Stain", "Hole"))
OFFER = Offer(right=CRACK, wrong=(STAIN, HOLE))


def sample(name: str = "metal/0") -> Sample:
    options = {"A": "crack", "B": "stain", "C": "hole", "D": "No defect"}
    target = Target(label="defective", option="A", options=options, offered=OFFER.names)
    return Sample(id=name, images=(), question="Which?", target=target, category="metal", task=Task.routed)


def pairings(count: int = 1) -> list[Pairing]:
    return [pairing(sample(f"metal/{number}"), OFFER, Choice.deceptive) for number in range(count)]


@dataclass
class PairTeacher:
    """Writes what it is told to; keeps what it was asked."""

    says: Callable[[Order, int], str]
    asked: list[list[Order]] = field(default_factory=list)

    async def write(self, orders: Sequence[Order]) -> list[str]:
        self.asked.append(list(orders))
        return [self.says(order, len(self.asked)) for order in orders]


def good(order: Order) -> str:
    return f"<knowledge>{order.entry.name}: fits.</knowledge><think>Observed.</think><answer>{order.option}</answer>"


def written(teacher, each: Sequence[Pairing], attempts: int = 3, seed: int = 0) -> list[dict]:
    return list(asyncio.run(write_pairs(each, teacher, RoutingConfig(attempts=attempts), seed)))


def test_a_pair_reasons_under_the_right_and_under_the_nearest_wrong_knowledge():
    (line,) = written(PairTeacher(lambda order, _: good(order)), pairings())
    assert line["chosen"] == "<knowledge>Crack: fits.</knowledge><think>Observed.</think><answer>A</answer>"
    # The wrong option is the one for which its knowledge speaks.
    assert line["rejected"] == "<knowledge>Stain: fits.</knowledge><think>Observed.</think><answer>B</answer>"
    assert (line["id"], line["knowledge"], line["wrong_knowledge"]) == ("metal/0", "Crack", "Stain")
    assert is_pair(line) and line["failures"] == []


def test_any_of_the_wrong_entries_is_taken_by_the_samples_id():
    chosen = [pairing(sample(f"metal/{number}"), OFFER, Choice.uniform).wrong for number in range(40)]
    assert set(chosen) == {STAIN, HOLE}
    assert chosen == [pairing(sample(f"metal/{number}"), OFFER, Choice.uniform).wrong for number in range(40)]


def test_only_the_side_that_failed_is_asked_for_again():
    def second_time(order: Order, call: int) -> str:
        return good(order) if order.wanted.right or call == 2 else "?"

    teacher = PairTeacher(second_time)
    (line,) = written(teacher, pairings())
    assert [[order.wanted.right for order in call] for call in teacher.asked] == [[True, False], [False]]
    (failure,) = line["failures"]
    assert is_pair(line)
    assert (failure["side"], failure["attempt"], failure["text"]) == ("rejected", 0, "?")
    assert failure["reasons"][0].startswith("form: ")


def test_attempts_are_bounded_and_what_fails_is_left_out_for_its_last_fault():
    def never_wrong(order: Order, call: int) -> str:
        if order.wanted.right:
            return good(order)
        return "?" if call == 1 else good(order).replace(">B<", ">A<")

    teacher = PairTeacher(never_wrong)
    (line,) = written(teacher, pairings(), attempts=2)
    assert len(teacher.asked) == 2 and not is_pair(line)
    assert line["chosen"] and line["rejected"] is None
    assert why_left_out(line) == "answer"


def test_a_text_that_repeats_the_hint_is_a_leak():
    (line,) = written(
        PairTeacher(lambda order, _: good(order).replace("Observed.", order.hint)), pairings(), attempts=1
    )
    assert why_left_out(line) == "leak" and line["chosen"] is line["rejected"] is None


def with_long_options() -> Pairing:
    """As data with sentences for options have them: seven words and more that the policy sees too."""
    (each,) = pairings()
    long = {
        "A": "The end of the bottle is broken and has large cracks.",
        "B": "A stain runs all the way round the neck.",
    }
    target = replace(each.sample.target, options=each.sample.target.options | long)
    return replace(each, sample=replace(each.sample, target=target))


def test_an_option_that_the_policy_sees_too_may_be_named_in_full():
    def naming(order: Order, _: int) -> str:
        return good(order).replace("Observed.", f"Observed: {order.sample.target.options[order.option]}")

    (line,) = written(PairTeacher(naming), [with_long_options()], attempts=1)
    assert is_pair(line) and "broken and has large cracks." in line["chosen"]
    assert "runs all the way round the neck." in line["rejected"]


@pytest.mark.parametrize(
    "words",
    [
        "I reason rigorously under it alone and conclude that the end is broken.",
        "And conclude that the right option is A, The end of the bottle is broken.",
        "I keep to the form that is asked for.",
    ],
)
def test_the_hints_own_words_are_found_whatever_the_option(words):
    each = with_long_options()
    assert words.casefold().split()[-3].strip(",.") in each.order("chosen", 0).hint.casefold()
    (line,) = written(PairTeacher(lambda order, _: good(order).replace("Observed.", words)), [each], attempts=1)
    assert why_left_out(line) == "leak"


def test_the_hint_stands_behind_the_question_and_names_the_conclusion():
    teacher = PairTeacher(lambda order, _: good(order))
    written(teacher, pairings())
    right, wrong = teacher.asked[0]
    assert right.hinted.question.startswith('Which?\n(Hint: choose the knowledge "Crack", ')
    assert "the right option is A, crack." in right.hint
    assert 'knowledge "Stain"' in wrong.hint and "the right option is B, stain." in wrong.hint
    assert right.hinted.target == right.sample.target


def test_chance_depends_on_seed_sample_and_attempt_alone():
    seeds = {seed_of(seed, name, attempt) for seed in (0, 1) for name in ("a", "b") for attempt in (0, 1)}
    assert len(seeds) == 8 and seed_of(0, "a", 0) == seed_of(0, "a", 0)
    alone = [written(TemplateTeacher(), [each])[0] for each in pairings(5)]
    assert written(TemplateTeacher(), pairings(5)) == alone
    assert written(TemplateTeacher(), pairings(5), seed=1) != alone


def test_templates_are_verified_at_once():
    lines = written(TemplateTeacher(), pairings(50), attempts=1)
    assert all(map(is_pair, lines))


@pytest.mark.parametrize("text", ["", "\x00", "<answer>" * 50])
def test_whatever_a_teacher_writes_is_a_value(text):
    (line,) = written(PairTeacher(lambda *_: text), pairings(), attempts=1)
    assert why_left_out(line) == "form"
