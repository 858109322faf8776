"""Template trajectories pass the rules, differ only in their premise, and are the same bytes each time."""

import hashlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl.data.knowledge.entries import Entry
from rl.data.knowledge.routing import Wanted, read_trajectory, verify
from rl.data.pairs.template_teacher import template_trajectory
from rl.data.questions import options_of
from rl.types import Sample, Target, Task

KINDS = ("scratch", "hole", "stain")
TEXTS = {
    "scratch": "A thin bright line runs across the surface of the [object] and ends sharply.",
    "hole": "A dark round spot where material of the [object] is missing: "
    + "its rim is sharp and its floor is dark " * 5,
    "stain": "As given, no. The discolored patch of the [object] has soft borders and no depth at all.",
    "good": "The surface of the [object] is even.",
}
ENTRIES = {
    kind: Entry(dataset="d", object="metal", defect=kind, name=kind.capitalize(), text=text)
    for kind, text in TEXTS.items()
} | {"good": Entry(dataset="d", object="metal", defect="good", name="Normal", text=TEXTS["good"])}
NAMES = tuple(entry.name for entry in ENTRIES.values())


def sample(kind: str, number: int = 0) -> Sample:
    options = options_of(KINDS, f"metal/{kind}/{number}")
    told = "No defect" if kind == "good" else kind
    option = next(letter for letter, text in options.items() if text == told)
    target = Target(label="normal" if kind == "good" else "defective", option=option, options=options)
    return Sample(
        id=f"metal/{kind}/{number}", images=(), question="?", target=target, category="metal", task=Task.choice
    )


@given(
    kind=st.sampled_from(sorted(ENTRIES)),
    chosen=st.sampled_from(sorted(ENTRIES)),
    number=st.integers(0, 10_000),
    seed=st.integers(0, 5),
    thinks=st.booleans(),
)
def test_every_trajectory_passes_the_rules(kind, chosen, number, seed, thinks):
    asked, entry, right = sample(kind, number), ENTRIES[chosen], kind == chosen
    text = template_trajectory(entry, asked, right=right, seed=seed, thinks=thinks)
    assert verify(text, Wanted(knowledge=entry.name, offered=NAMES, target=asked.target, right=right)) == ()
    # Under another entry the answer is the one that this entry speaks for.
    if not right:
        told = "No defect" if chosen == "good" else chosen
        assert asked.target.options[read_trajectory(text).option] == told


def test_a_pair_differs_in_its_premise_alone():
    asked = sample("hole")
    right = template_trajectory(ENTRIES["hole"], asked, right=True, seed=3)
    wrong = template_trajectory(replace(ENTRIES["hole"], name="Stain", defect="stain"), asked, right=False, seed=3)
    letters = (read_trajectory(right).option, read_trajectory(wrong).option)
    same = right.replace("Hole", "Stain").replace(f"answer is {letters[0]}.", f"answer is {letters[1]}.")
    assert same == wrong and letters[0] != letters[1]


def test_seeds_and_samples_vary_the_words():
    texts = {
        template_trajectory(ENTRIES["hole"], sample("hole", number), right=True, seed=seed).split("The answer")[0]
        for number in range(20)
        for seed in range(5)
    }
    assert len(texts) > 20


@pytest.mark.parametrize(
    ("options", "option", "chosen", "answer"),
    [
        ({"A": "Yes.", "B": "No."}, "A", "good", "B"),
        ({"A": "Yes.", "B": "No."}, "B", "scratch", "A"),
        ({"A": "pit", "B": "Scratches.", "C": "No defect"}, "A", "scratch", "B"),
        ({"A": "pit", "B": "No defect", "C": "bump"}, "A", "scratch", "C"),
    ],
)
def test_a_wrong_answer_is_what_its_knowledge_speaks_for(options, option, chosen, answer):
    asked = replace(sample("hole"), target=Target(label="defective", option=option, options=options))
    text = template_trajectory(ENTRIES[chosen], asked, right=False, seed=0, thinks=True)
    assert read_trajectory(text).option == answer


def test_the_bytes_are_the_same_on_every_machine():
    texts = [
        template_trajectory(ENTRIES[chosen], sample(kind, number), right=kind == chosen, seed=7)
        for kind in sorted(ENTRIES)
        for chosen in sorted(ENTRIES)
        for number in range(10)
    ]
    assert hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16] == "58b94af7612dbf3f"


def test_a_sample_without_options_is_refused_by_name():
    with pytest.raises(ValueError, match="^sample metal/hole/0: a trajectory needs two or more options"):
        template_trajectory(ENTRIES["hole"], replace(sample("hole"), target=Target(label="")), right=True, seed=0)
