"""The tokens with which an answer could have chosen the other verdict or another option."""

from math import log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards.answers.parse import parse_answer
from rewards.rival import Crossroads, Fork, crossroads_of, fork_of, p_yes, verdict_at
from rl.types import Task

VOCABULARY = {name: number for number, name in enumerate(["Yes", "No", "ĠYes", "ĠNo", "yes", "no", "Y", "N", "YES"])}


def fork(*names: str, task: Task = Task.yes_no) -> Fork | None:
    texts = [name.replace("Ġ", " ") for name in names]
    return fork_of(texts, names, VOCABULARY, task)


@pytest.mark.parametrize(
    ("said", "rival"), [("Yes", "No"), ("No", "Yes"), ("ĠNo", "ĠYes"), ("no", "yes"), ("Y", "N"), ("N", "Y")]
)
def test_the_rival_token_has_the_form_of_the_given_one(said, rival):
    rest = {"Y": ["es"], "N": ["o"]}.get(said, [])
    found = fork("<think>", "Even.", "</think>", "<answer>", said, *rest, "</answer>")
    assert found == Fork(place=4, rival=VOCABULARY[rival])


def test_a_yes_in_the_reasoning_is_not_the_verdict():
    assert fork("<think>", "Yes", "?", "</think>", "<answer>", "No", "</answer>").place == 5


@pytest.mark.parametrize("said", ["Perhaps", "YES", "Yesterday", "ĠĠYes"])
def test_without_a_verdict_or_a_token_for_the_other_one_there_is_no_fork(said):
    assert fork("<answer>", said, "</answer>") is None


def test_an_answer_cut_off_before_its_verdict_has_no_fork():
    assert fork("<think>", "Even.") is None and fork() is None


@given(st.text(alphabet="<>/answerthik YesNo.", max_size=60), st.sampled_from([Task.yes_no, Task.boxes]))
def test_a_verdict_is_found_exactly_where_the_parser_reads_one(text, task):
    said = parse_answer(text, task, (8, 8)).verdict
    at = verdict_at(text, task)
    assert (at is None) == (said is None)
    if at is not None:
        assert text[at:].lower().startswith("yes" if said == "defective" else "no")


def test_the_probability_of_yes_is_its_share_of_both():
    assert p_yes("defective", log(0.3), log(0.1)) == pytest.approx(0.75)
    assert p_yes("normal", log(0.3), log(0.1)) == pytest.approx(0.25)
    assert p_yes("normal", 0.0, -2000.0) == 0.0 and p_yes("defective", 0.0, -2000.0) == 1.0


def crossroads(parts: list[str], letters: str = "ABCD", vocabulary: dict[str, int] | None = None) -> Crossroads | None:
    known = dict(zip("ABCDabcd", range(8), strict=True)) if vocabulary is None else vocabulary
    return crossroads_of(parts, parts, known, Task.routed, letters)


THOUGHT = ["<knowledge>A hole</knowledge>", "<think>", "D", "</think>"]


@pytest.mark.parametrize(
    ("answer", "place", "options"),
    [
        (["<answer>", "B", "</answer>"], 5, {"A": 0, "B": 1, "C": 2, "D": 3}),
        (["<answer>", "b", "</answer>"], 5, {"A": 4, "B": 5, "C": 6, "D": 7}),
        (["<answer>", "\n", "C", ".", "</answer>"], 6, {"A": 0, "B": 1, "C": 2, "D": 3}),
        (["<answer>", "B"], 5, {"A": 0, "B": 1, "C": 2, "D": 3}),
    ],
)
def test_an_answers_option_is_found_with_the_tokens_of_all_options(answer, place, options):
    found = crossroads([*THOUGHT, *answer])
    assert found is not None and (found.place, found.options) == (place, options)


def test_a_letter_that_shares_its_token_is_replaced_within_it():
    vocabulary = {"Ġ(A)": 1, "Ġ(B)": 2}
    names = [*THOUGHT, "<answer>", "Ġ(B)", "</answer>"]
    pieces = [name.replace("Ġ", " ") for name in names]
    assert crossroads_of(pieces, names, vocabulary, Task.routed, "AB") == Crossroads(place=5, options={"A": 1, "B": 2})
    assert crossroads_of(pieces, names, vocabulary, Task.routed, "ABC") is None


@pytest.mark.parametrize(
    "answer", [[], ["<answer>", "E", "</answer>"], ["<answer>", "none", "</answer>"], ["<answer>", "</answer>"]]
)
def test_an_answer_that_is_none_of_the_options_has_no_crossroads(answer):
    assert crossroads([*THOUGHT, *answer]) is None
