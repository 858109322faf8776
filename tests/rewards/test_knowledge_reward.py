"""The reward of naming the right piece of knowledge."""

from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from rewards.answers.parse import parse_answer
from rewards.component import ComponentConfig
from rewards.compose import Composer, check_truth, read
from rewards.config import RewardConfig
from rewards.item import Item
from rewards.knowledge import knowledge_reward
from rewards.presets import check_task, preset
from rl.data.knowledge.entries import called_alike
from rl.data.prompts import answer_text
from rl.types import Target, Task

OFFERED = ("Scratch", "Deep Scratch", "Hole")
TARGET = Target(label="defective", option="B", options={"A": "hole", "B": "scratch"}, offered=OFFERED)
COUNTING = RewardConfig(knowledge=ComponentConfig(weight=1.0))
WORDS = st.lists(st.text("abcdefgh", min_size=1, max_size=6), min_size=1, max_size=3).map(" ".join)


def item(text: str, target: Target = TARGET) -> Item:
    return Item(id="nut/test/cut/003", text=text, task=Task.routed, target=target)


def said(knowledge: str, option: str = "B") -> str:
    return f"<knowledge>{knowledge}</knowledge><think>A line.</think><answer>{option}</answer>"


def reward(knowledge: str, target: Target = TARGET) -> float | None:
    return knowledge_reward(parse_answer(said(knowledge), Task.routed, (10, 10)), target)


@pytest.mark.parametrize(
    ("knowledge", "expected"),
    [
        ("Scratch: a thin line.", 1),
        ("I choose 'SCRATCH', since it is no hole.", 1),
        ("Hole, for a scratch is no hole.", 0),
        ("Deep scratch: a thin line.", 0),
        ("Scratches: thin lines.", 0),
        ("A thin line.", 0),
        ("", 0),
    ],
)
def test_the_first_named_piece_counts_by_its_longest_name(knowledge: str, expected: float):
    assert reward(knowledge) == expected


def test_naming_all_pieces_earns_no_more_than_naming_the_first_of_them():
    assert [reward(" ".join((first, *OFFERED))) for first in OFFERED] == [1, 0, 0]


def test_a_question_that_offers_nothing_cannot_be_judged():
    assert reward("Scratch", replace(TARGET, offered=())) is None


@given(st.lists(WORDS, min_size=2, max_size=5, unique_by=called_alike), st.text("ab. !?", max_size=20))
def test_the_right_answer_earns_every_component(names: list[str], text: str):
    # Exclude names that would make the text after the right name part of another, longer name.
    assume(not any(called_alike(name).startswith(f"{called_alike(names[0])} ") for name in names))
    target = replace(TARGET, offered=tuple(names), knowledge=text.strip())
    right = item(answer_text(target, Task.routed), target)
    config = replace(preset("dcr2ad").config, knowledge=ComponentConfig(weight=1.0))
    (score,) = Composer(config).score([right], read([right]))
    assert score.components == {"format": 1, "choice": 1, "knowledge": 1}, right.text


def test_the_dcr2ad_preset_counts_form_and_option_and_measures_knowledge():
    items = [item(said("Hole")), item(said("Scratch", "A")), item("<think>A line.</think><answer>B</answer>")]
    scores = Composer(preset("dcr2ad").config).score(items, read(items))
    assert [score.total for score in scores] == [2, 1, 1]
    assert [score.components["knowledge"] for score in scores] == [0, 1, 0]


def test_only_routed_answers_choose_knowledge():
    check_task(COUNTING, Task.routed, "task")
    with pytest.raises(
        ValueError, match="task=choice asks for answers that reward.knowledge cannot judge; choose task="
    ):
        check_task(COUNTING, Task.choice, "task")


def test_samples_that_offer_nothing_are_refused_where_knowledge_counts():
    check_truth([item("")], COUNTING)
    with pytest.raises(ValueError, match="cut/003 has no target.offered that reward.knowledge could judge by"):
        check_truth([item("", replace(TARGET, offered=()))], COUNTING)
