"""A trajectory is read without ever raising, and what makes it unfit is told by kind."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders.growth import LINEAR, growth
from rl.data.knowledge.routing import MAX_CHARACTERS, Wanted, named_knowledge, read_trajectory, verify
from rl.types import Target

NAMES = ("Crack", "Crack on [object]", "Normal", "Surface Scratches")
TARGET = Target(label="defective", option="B", options={"A": "crack", "B": "scratch", "C": "No defect"})
RIGHT = Wanted(knowledge="Surface Scratches", offered=NAMES, target=TARGET, right=True)
WRONG = Wanted(knowledge="Crack", offered=NAMES, target=TARGET, right=False)
SAID = "<knowledge>Surface scratches: thin lines.</knowledge><answer>A thin line. The answer is B.</answer>"
PIECES = (
    "<knowledge>",
    "</knowledge>",
    "<think>",
    "</think>",
    "<answer>",
    "</answer>",
    "B",
    "Crack",
    " ",
    "answer is ",
)


def answered(answer: str) -> str:
    return f"<knowledge>Crack: deep.</knowledge><answer>{answer}</answer>"


def test_both_parts_are_read():
    read = read_trajectory(f" {SAID}\n")
    assert (read.knowledge, read.option, read.malformed) == ("Surface scratches: thin lines.", "B", ())
    assert read.reasoning == "A thin line. The answer is B."


def test_reasoning_may_have_tags_of_its_own():
    read = read_trajectory("<knowledge>Crack</knowledge> <think>Deep. The answer is A.</think>\n<answer>B</answer>")
    assert (read.knowledge, read.reasoning, read.option, read.malformed) == ("Crack", "Deep. The answer is A.", "B", ())


@pytest.mark.parametrize(
    ("answer", "option"),
    [
        ("b", "B"),
        ("(B).", "B"),
        ("B. A thin line crosses it.", "B"),
        ("Option A needs depth, so the answer is B.", "B"),
        ("The correct option is (B), a scratch.", "B"),
        ("A thin line. **Answer: B**", "B"),
        ("A. Deep. The answer is B.", ""),
        ("The answer is A. No, the answer is B.", ""),
        ("A thin line is seen.", ""),
        ("The answer is Be careful.", ""),
    ],
)
def test_the_option_is_the_one_letter_that_an_answer_concludes(answer, option):
    read = read_trajectory(answered(answer))
    assert read.option == option and bool(read.malformed) == (not option)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "<knowledge> occurs 0 times instead of once"),
        (SAID[:-1], "</answer> occurs 0 times"),
        (SAID + SAID, "<answer> occurs 2 times"),
        ("<answer>B</answer><knowledge>x</knowledge>", "the tags are not in the order <knowledge>"),
        (f"Well. {SAID}", "text stands outside the tags: 'Well.'"),
        (SAID.replace("<answer>", "so <answer>"), "text stands outside the tags: 'so'"),
        ("<knowledge> </knowledge><answer>B</answer>", "<knowledge> is empty"),
        (answered(""), "<answer> is empty"),
        (SAID.replace("<answer>", "<think><answer>"), "</think> occurs 0 times"),
        (SAID + " " * MAX_CHARACTERS, "only the first 20000 were read"),
    ],
)
def test_a_departure_from_the_form_is_a_value(text, fault):
    assert any(fault in told for told in read_trajectory(text).malformed)
    assert any(told.startswith("form: ") and fault in told for told in verify(text, RIGHT))


@given(st.one_of(st.text(), st.lists(st.sampled_from(PIECES), max_size=30).map("".join)))
def test_anything_can_be_read(text):
    read = read_trajectory(text)
    assert read.malformed or (read.knowledge and read.option)
    verify(text, RIGHT)


@pytest.mark.parametrize("piece", ["<knowledge>", "</knowledge><think>", "answer ", "((", "correct  ", " "])
def test_a_hostile_text_is_read_in_linear_time(piece):
    assert growth(lambda text: read_trajectory(answered(text)), piece, MAX_CHARACTERS) < LINEAR
    assert growth(read_trajectory, piece, MAX_CHARACTERS) < LINEAR


def test_the_first_name_is_the_choice_and_the_longest_where_two_begin():
    assert named_knowledge("crack on  object, not Normal", NAMES) == "Crack on [object]"
    assert named_knowledge('"Normal" rather than Crack', NAMES) == "Normal"
    assert named_knowledge("Cracks are abnormal", NAMES) == ""


def test_fit_trajectories_have_no_reason_against_them():
    assert verify(SAID, RIGHT) == ()
    assert verify(answered("Deep. The answer is A."), WRONG) == ()


@pytest.mark.parametrize(
    ("text", "wanted", "reasons"),
    [
        (SAID, WRONG, ("knowledge: it names Surface Scratches instead of Crack", "answer: B is right where")),
        (answered("A"), RIGHT, ("knowledge: it names Crack instead of Surface Scratches", "answer: A is wrong where")),
        (answered("Z"), WRONG, ("answer: Z is none of the options A B C",)),
        (answered("As given, the answer is A."), WRONG, ("leak: 'as given'",)),
        (answered("A").replace("Crack:", "It is"), WRONG, ("knowledge: it names none instead of Crack",)),
        (answered("Deep."), WRONG, ("form: the answer concludes no option: 'Deep.'",)),
    ],
)
def test_each_reason_opens_with_its_kind(text, wanted, reasons):
    found = verify(text, wanted)
    assert len(found) == len(reasons)
    assert all(one.startswith(other) for one, other in zip(found, reasons, strict=True))


def test_words_of_the_hint_are_a_leak():
    hint = "Choose the entry named Crack and reason strictly under it, whatever you see."
    text = answered("I reason strictly under it, whatever you see. The answer is A.")
    assert verify(text, WRONG, [hint]) == ("leak: 'reason strictly under it whatever you see'",)
    assert verify(text, WRONG) == ()
