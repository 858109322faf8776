"""Every planted leak is found and no clean text is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders.growth import LINEAR, growth
from builders.leak_texts import clean_texts, planted_texts
from rl.contrast import HINT
from rl.data.knowledge.leaks import leaks


def test_every_leak_of_200_planted_texts_is_found():
    texts = planted_texts()
    assert len(set(texts)) == 200
    assert [text for text in texts if not leaks(text)] == []


def test_none_of_500_clean_texts_is_refused():
    texts = clean_texts()
    assert len(set(texts)) == 500
    assert [(text, leaks(text)) for text in texts if leaks(text)] == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("The red box is at the left.", ("red box",)),
        ("A hint of rust, and as given there is more.", ("as given",)),
        ("Red. Box corners are dented.", ()),
        ("As hinted, the red\u00a0_box_ is here.", ("as hinted", "red box")),
        ("", ()),
    ],
)
def test_a_leak_is_told_by_its_words(text, found):
    assert leaks(text) == found


HINTED = HINT.format("the right option is B, scratch")


def test_a_piece_of_the_hint_is_a_leak_and_a_few_common_words_are_not():
    assert leaks("I REASON towards that; keep to the form!", HINTED) == ("reason towards that keep to the form",)
    assert leaks("The line is thin. The right option is B, scratch.", HINTED) == ()
    assert leaks("This sample is abnormal.", "this sample is abnormal") == ()


@given(st.text())
def test_any_text_can_be_searched(text):
    assert leaks(text) == leaks(text, "")


@pytest.mark.parametrize(
    "piece", ["as ", "hint ", "red bounding ", "according to the x ", "box that is ", "marked x in "]
)
def test_a_hostile_text_is_searched_in_linear_time(piece):
    assert growth(leaks, piece, 100_000) < LINEAR
