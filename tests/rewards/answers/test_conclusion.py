import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders.growth import LINEAR, growth
from rewards.answers.conclusion import concluded_option, mentions
from rewards.answers.released_choice import released_choice
from rl.types import Target

TARGET = Target(label="", option="B", options={"A": "Hole.", "B": "Scratch.", "C": "A large stain", "D": "No defect"})


@pytest.mark.parametrize(
    ("text", "option"),
    [
        ("The answer is B.", "B"),
        ("Therefore, (B)", "B"),
        ("therefore it must be option “D”", "D"),
        ("thus the correct answer is **C**", "C"),
        ("The image matches option B (scratch).", "B"),
        ("C fits what is seen.", "C"),
        ("The right choice is clearly A.", "A"),
        ("The answer is A because it is round.", "A"),
        ("Option A is not correct; option C is wrong. Hence B.", "B"),
        ("It is not A but B.", "B"),
        ("rather than option A, the answer should be D", "D"),
        ("First I thought of option A. On a second look the answer is C.", "C"),
        ("It looks like (B).", "B"),
        ("There is no hole here, it is a scratch.", "B"),
        ("A bright patch. It is a large stain", "C"),
    ],
)
def test_reads_what_a_reasoning_concludes(text: str, option: str) -> None:
    assert concluded_option(text, TARGET) == option


@pytest.mark.parametrize(
    "text",
    [
        "",
        "The surface is even.",
        "A line is seen. I think so.",
        "Conclusion: A line is visible.",
        "Options: A. Hole B. Scratch. The line is long.",
        "Option B isn't right.",
        "I do not see a scratch.",
        "It is a hole or a scratch.",
        "Vitamin E. Option F.",
    ],
)
def test_concludes_nothing_where_nothing_is_concluded(text: str) -> None:
    assert concluded_option(text, TARGET) is None


def test_without_options_the_usual_letters_count() -> None:
    target = Target(label="", option="E")
    assert concluded_option("The answer is E.", target) == "E"
    assert concluded_option("The answer is F.", target) is None


@given(st.text() | st.lists(st.sampled_from(["so ", "the answer is ", "B", "(A)", "not ", ". ", "is "])).map("".join))
def test_every_mention_is_an_option_at_its_place(text: str) -> None:
    found = mentions(text, TARGET.options)
    assert all(text[mention.place] == mention.letter and mention.letter in TARGET.options for mention in found)
    assert [mention.place for mention in found] == sorted(mention.place for mention in found)
    assert concluded_option(text, TARGET) in (None, *TARGET.options)


@pytest.mark.parametrize(
    "piece", ["so ", "so A ", "(A) ", "the answer is ", "B is ", "A", "not ", "“", "option is ", " "]
)
def test_hostile_text_is_read_in_linear_time(piece: str) -> None:
    assert growth(lambda text: concluded_option(text, TARGET), piece, 50_000) < LINEAR


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ("", None),
        ("no capital", None),
        ("B", "B"),
        ("b", "b"),
        ("B.", "B"),
        (" . ", None),
        ("Eight of them", None),
        ("A scratch is seen", "A"),
        # B and C stand in the last 30 %.
        ("Both ABC", "B"),
        # A scores 1 for the full stop; B 2 for standing in the last 30 %.
        ("It may be A. But after a second and closer look I say B now", "B"),
        # C is near a keyword; the others are not.
        ("A or B it is not, that much can be said; ANSWER C, yes, as all of this shows very well to anyone", "C"),
        ("A and B and what may come after them all in the end", "A"),
    ],
)
def test_the_released_reading_scores_capital_letters(text: str, choice: str | None) -> None:
    assert released_choice(text) == choice


def as_the_authors_describe_it(text: str) -> str | None:
    """Apply the released heuristics step by step over the characters, independently of our code."""
    text = "".join(" " if character.isspace() else character for character in text)
    while "  " in text:
        text = text.replace("  ", " ")
    if len(text) < 3:
        kept = [character for character in text if character.isalnum() or character in "_ "]
        return kept[0] if kept else None
    scores: dict[str, int] = {}
    for place, character in enumerate(text):
        around = text[max(0, place - 1) : place] + text[place + 1 : place + 2]
        if character in "ABCD" and not any("a" <= other <= "z" for other in around):
            scores.setdefault(character, 0)
    for letter in scores:
        last = max(place for place, character in enumerate(text) if character == letter)
        near = text[max(last - 20, 0) : last + 20]
        scores[letter] += sum(word.upper() in near for word in "answer correct choose select right think".split())
        scores[letter] += sum(word.upper() in near for word in "believe should".split())
        scores[letter] += 2 if last > 0.7 * len(text) else 0
        scores[letter] += 1 if last + 1 < len(text) and text[last + 1] in "。.!！,，" else 0
    best = max(scores.values(), default=0)
    return next((letter for letter, score in scores.items() if score == best), None)


def test_the_released_reading_agrees_with_an_independent_one() -> None:
    rng = random.Random(0)
    pieces = [
        "A",
        "B",
        "C",
        "D",
        "a",
        "z",
        " ",
        "  ",
        ".",
        ",",
        "!",
        "ANSWER ",
        "THINK",
        "SHOULD BE ",
        "the",
        "\n",
        "E",
    ]
    for _ in range(5000):
        text = "".join(rng.choices(pieces, k=rng.randrange(25)))
        assert released_choice(text) == as_the_authors_describe_it(text), text
