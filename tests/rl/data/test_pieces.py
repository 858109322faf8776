"""Tokens' pieces of a text: together they are what the tokenizer decodes, whatever a model writes."""

from pathlib import Path
from unicodedata import normalize

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from rl.data.config import DataConfig
from rl.data.pieces import pieces, span_between
from rl.data.prompts import PromptBuilder

STARTER = Path(__file__).parents[3] / "models/starter"
BUILDER = PromptBuilder(str(STARTER), DataConfig())


@given(st.lists(st.integers(0, len(BUILDER.vocabulary) - 1), max_size=40))
def test_the_pieces_of_any_tokens_join_to_what_the_tokenizer_decodes(token_ids):
    text = BUILDER._tokenizer.decode(token_ids, skip_special_tokens=True)
    assert "".join(BUILDER.pieces(token_ids)) == text


@given(st.text(max_size=30))
def test_the_pieces_of_any_text_join_to_it(text):
    # Hypothesis tries the literals of our own code, among them <|vision_start|>, which no text shows.
    assume(not any(token in text for token in BUILDER._tokenizer.all_special_tokens))
    token_ids = BUILDER._tokenizer.encode(text, add_special_tokens=False)
    # The tokenizer composes letters before it cuts.
    assert "".join(BUILDER.pieces(token_ids)) == normalize("NFC", text.replace("\ud800", "�"))


def test_a_letter_of_several_tokens_belongs_to_the_last_of_them():
    # U+1F527, a wrench, is four bytes: F0 9F 94 A7.
    assert pieces(["a", "ð", "Ł", "Ķ", "§", "b"]) == ["a", "", "", "", "🔧", "b"]


@pytest.mark.parametrize(("names", "text"), [(["ð", "Ł"], "\ufffd"), (["Ł", "a"], "\ufffda")])
def test_bytes_that_are_no_letter_are_shown_as_such(names, text):
    assert "".join(pieces(names)) == text


def test_a_special_token_has_no_piece():
    end = BUILDER.encode_answer("No.")
    assert BUILDER.pieces(end)[-1] == "" and "".join(BUILDER.pieces(end)) == "No."


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        (["<think>", "A", " hole", "</think>", "Yes"], (1, 3)),
        (["Well. <thi", "nk>A", " hole.</", "think>"], (1, 3)),
        (["<think>", "A", " hole"], (1, 3)),
        (["A", " hole", "</think>"], None),
        (["<think>", "</think>", "Yes"], None),
        (["<think>"], None),
        (["<think>", "", "ü", "</think>"], (2, 3)),
        ([], None),
    ],
)
def test_the_reasoning_is_what_stands_between_its_tags(parts, expected):
    assert span_between(parts, "<think>", "</think>") == expected


@given(st.lists(st.sampled_from(["<think>", "</think>", "a", "<", "think>", ""]), max_size=12))
def test_a_span_lies_within_the_tokens_and_is_not_empty(parts):
    span = span_between(parts, "<think>", "</think>")
    assert span is None or 0 <= span[0] < span[1] <= len(parts)
