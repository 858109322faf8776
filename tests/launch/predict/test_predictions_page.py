"""The page of predictions and the lines of predictions.jsonl."""

import doctest
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launch.predict import page as predictions_page
from launch.predict import predictions as module
from launch.predict.page import PageRecord, page, write_page
from launch.predict.predictions import Prediction, line, words_between

FOLDER = Path("/runs/one")
HOSTILE = "</mark><script>alert(1)</script>\"'&<img src=x onerror=alert(2)>"
FOUND = Prediction(
    id="scratch/003",
    image="/photos/scratch/003.png",
    size=(640, 480),
    verdict="defective",
    p_yes=0.875,
    boxes=((10.0, 20.0, 30.0, 60.5),),
    box_labels=("scratch",),
    reasoning=(("A", 0.0), (" scratch", 0.75), (".", 0.0)),
    answer=(("Yes", 0.25), (".", 0.0)),
    agreement=0.5,
    map="maps/scratch/003.png",
)
DAMAGED = Prediction(id="broken", image="/photos/broken.png", error="/photos/broken.png: the image is damaged")


def shown(*predictions: Prediction, **options) -> str:
    record = {"title": "photos", "facts": {}, "heat_top": 4.0, "metrics": {}} | options
    return page(FOLDER, PageRecord(predictions=predictions, **record))


def cards(text: str) -> list[str]:
    return re.findall(r"<article class=\"card case .*?</article>", text, flags=re.DOTALL)


class Reader(HTMLParser):
    """Parser that collects tags and text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


def read(text: str) -> Reader:
    reader = Reader()
    reader.feed(text)
    return reader


@pytest.mark.parametrize("tested", [module, predictions_page])
def test_the_examples_hold(tested):
    assert doctest.testmod(tested).failed == 0


def test_a_line_has_the_findings_and_the_places_of_marked_words():
    fields = json.loads(json.dumps(line(FOUND)))
    assert fields == {
        "id": "scratch/003",
        "image": "/photos/scratch/003.png",
        "verdict": "defective",
        "p_yes": 0.875,
        "truth": None,
        "boxes": [[10.0, 20.0, 30.0, 60.5]],
        "box_labels": ["scratch"],
        "reasoning": "A scratch.",
        "marks": [[1, 9, 0.75]],
        "agreement": 0.5,
        "map": "maps/scratch/003.png",
        "error": None,
    }
    assert fields["reasoning"][1:9] == " scratch"


def test_a_line_of_a_damaged_image_has_the_error_and_nothing_else():
    fields = line(DAMAGED)
    assert fields["error"] == DAMAGED.error
    assert {fields[name] for name in ("verdict", "p_yes", "map", "agreement")} == {None}


@given(st.lists(st.text(max_size=4), max_size=8), st.integers(0, 20), st.integers(0, 20))
def test_words_between_two_places_are_the_text_between_them(pieces, start, length):
    weights = [float(index) for index in range(len(pieces))]
    words = words_between(pieces, weights, start, start + length)
    assert "".join(text for text, _ in words) == "".join(pieces)[start : start + length]


def test_a_card_shows_pictures_boxes_verdict_and_marked_words():
    (card,) = cards(shown(FOUND))
    tags = read(card).tags
    pictures = [attributes for tag, attributes in tags if tag == "img"]
    assert [each["src"] for each in pictures] == ["pictures/plain/scratch/003.jpg", "pictures/map/scratch/003.jpg"]
    assert {each["loading"] for each in pictures} == {"lazy"}
    assert '<svg viewBox="0 0 640 480"' in card
    assert '<rect class="said" x="10" y="20" width="20" height="40.5"><title>scratch</title></rect>' in card
    assert '<span class="chip bad" title="">defective</span>' in card and "p 88%" in card
    assert 'A <mark style="--w:0.75" title="weight 0.75">scratch</mark>.' in card
    links = [attributes["href"] for tag, attributes in tags if tag == "a"]
    assert links == ["maps/scratch/003.png", "../../photos/scratch/003.png"]


@pytest.mark.parametrize(("num_places", "shown_chips"), [(49, 0), (50, 1)])
def test_the_agreement_is_shown_from_fifty_places_on(num_places, shown_chips):
    (card,) = cards(shown(replace(FOUND, num_places=num_places)))
    assert card.count(">agreement 0.50</span>") == shown_chips
    assert line(replace(FOUND, num_places=num_places))["agreement"] == 0.5


def test_the_likeliest_defects_come_first_and_damaged_images_last():
    def one(name: str, verdict: str | None, p_yes: float | None) -> Prediction:
        return replace(FOUND, id=name, image=f"/{name}.png", verdict=verdict, p_yes=p_yes)

    mixed = [DAMAGED, one("low", "normal", 0.1), one("sure", "defective", None), one("high", "defective", 0.9)]
    order = [read(card).text for card in cards(shown(*mixed, one("unread", None, None), one("half", "normal", 0.49)))]
    names = ["sure", "high", "unread", "half", "low", "broken"]
    assert [next(name for name in names if text.endswith(name)) for text in order] == names


def test_tiles_and_filters_have_counts():
    text = shown(FOUND, DAMAGED, replace(FOUND, id="a", verdict="normal"))
    for kind, count in {"defective": 1, "normal": 1, "unreadable": 0, "error": 1}.items():
        assert re.search(rf'class="card tile {kind}">.*?<b>{count}</b>', text)
    assert 'id="show-all" checked' in text and 'id="show-defective">' in text
    assert 'id="show-unreadable"' not in text


def test_facts_and_the_reason_of_a_stop_are_shown():
    text = shown(FOUND, facts={"Model": "m & n"}, ended="stopped by Ctrl-C")
    assert "m &amp; n" in text
    assert '<span class="status warn">stopped</span>' in text and "stopped by Ctrl-C" in text


KNOWN = replace(FOUND, truth="defective", outline="pictures/truth/scratch/003.png")
MISSED = replace(KNOWN, id="scratch/004", verdict="normal", p_yes=None, boxes=(), box_labels=())
TRUTH = "The masks tell the truth."


def test_measures_stand_beside_their_truth_and_what_images_are_ranked_by():
    metrics = {"image_accuracy": 0.5, "image_auroc": 0.75, "pixel_auroc": 0.91234}
    text = shown(KNOWN, MISSED, FOUND, metrics=metrics, truth=TRUTH)
    for title, value in {"Image accuracy": "0.500", "Image AUROC": "0.750", "Pixel AUROC": "0.912"}.items():
        assert f"{title}</dt><dd>{value}" in text
    assert f"{TRUTH} It is known of 2 of the 3 images." in text
    assert "the probability of Yes against No; 1 without it by their verdict, unreadable ones in the middle." in text
    (table,) = re.findall(r'<table class="confusion">.*?</table>', text)
    assert re.findall(r"<th>([^<]*)</th>", table) == [
        "",
        "said defective",
        "said normal",
        "unreadable",
        "truly defective",
        "truly normal",
    ]
    assert re.findall(r"<td[^>]*>(\d)</td>", table) == ["1", "1", "0", "0", "0", "0"]


def test_without_a_truth_nothing_is_measured_or_marked():
    text = shown(FOUND)
    assert "Against the truth" not in text and "right</span>" not in text and 'id="layer-true"' not in text
    assert "true defect" not in text and 'id="show-wrong"' not in text


def test_wrong_answers_are_marked_counted_and_filtered():
    text = shown(KNOWN, MISSED, truth=TRUTH)
    right, wrong = cards(text)
    assert 'class="card case defective"' in right and '<span class="chip " title="">✓ right</span>' in right
    assert 'class="card case normal wrong"' in wrong
    assert '<span class="chip warn" title="">✗ is defective</span>' in wrong
    assert '<label for="show-wrong">Wrong <b>1</b></label>' in text
    assert "#show-wrong:checked ~ .cards .case:not(.wrong)" in text


def test_the_true_outline_lies_over_both_pictures_and_can_be_switched_off():
    text = shown(KNOWN, MISSED, truth=TRUTH)
    frames = re.findall(r'<div class="frame">.*?</div>', cards(text)[0])
    assert [frame.count('<img class="true" src="pictures/truth/scratch/003.png"') for frame in frames] == [1, 1]
    assert "<li><i></i>true defect, as its mask has it</li>" in text
    for layer in ("said", "true"):
        assert f'<input type="checkbox" id="layer-{layer}" checked>' in text
        assert f"#layer-{layer}:not(:checked) ~ .cards .{layer}" in text


def test_hostile_words_names_and_labels_stay_text():
    nasty = Prediction(
        id=HOSTILE.replace("/", "∕"),
        image=f"/photos/{HOSTILE}\udc80.png",
        size=(4, 4),
        verdict="defective",
        boxes=((0.0, 0.0, 1.0, 1.0),),
        box_labels=(HOSTILE,),
        reasoning=((HOSTILE, 0.5), (HOSTILE, 0.0)),
        answer=((HOSTILE, 2.0),),
        map='maps/<x>".png',
        truth="normal",
        outline='pictures/<x>".png',
    )
    error = Prediction(id="e", image="/e.png", error=HOSTILE)
    reader = read(shown(nasty, error, title=HOSTILE, facts={HOSTILE: HOSTILE}, ended=HOSTILE, truth=HOSTILE))
    assert not {"script"} & {tag for tag, _ in reader.tags}
    assert not [name for _, attributes in reader.tags for name in attributes if name.startswith("on")]
    assert reader.text.count("alert(1)") >= 7
    assert {attributes["src"].partition("/")[0] for tag, attributes in reader.tags if tag == "img"} == {"pictures"}


def test_the_page_runs_nothing_and_loads_pictures_only():
    text = shown(FOUND)
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', text)[1]
    assert policy == "default-src 'none'; img-src data: 'self' file:; style-src 'unsafe-inline'"
    assert "<script" not in text


def test_the_page_is_written_beside_its_pictures(tmp_path):
    record = PageRecord(title="photos", facts={}, predictions=[FOUND], heat_top=2.0, metrics={})
    path = write_page(tmp_path, record)
    assert path == tmp_path / "predictions.html" and "2× of an even look" in path.read_text()
