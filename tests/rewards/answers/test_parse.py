import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders.growth import LINEAR, growth
from rewards.answers.boxes import MAX_BOXES
from rewards.answers.parse import MAX_CHARACTERS, Answer, parse_answer
from rl.types import Task

SIZE = (112, 100)


def answer(body: str, think: str = "Looks odd.") -> Answer:
    return parse_answer(f"<think>{think}</think><answer>{body}</answer>", Task.boxes, SIZE)


def test_reads_an_answer_in_form() -> None:
    body = "Yes. {'bbox_2d': [1, 2, 30, 40], 'label': 'scratch'}, {'bbox_2d': [50, 60, 70, 80], 'label': 'hole'}"
    assert answer(body) == Answer(
        think="Looks odd.",
        answer=body,
        tagged=True,
        verdict="defective",
        boxes=((1, 2, 30, 40), (50, 60, 70, 80)),
        labels=("scratch", "hole"),
        malformed=(),
    )


@pytest.mark.parametrize("body", ["No.", "no", " NO ", "**No**", "No. The part is fine."])
def test_reads_a_no_however_it_is_written(body: str) -> None:
    read = answer(body)
    assert (read.verdict, read.boxes, read.malformed) == ("normal", (), ())


@pytest.mark.parametrize(
    "body",
    [
        "Yes. {'bbox_2d': [1.5, 2, 30, 40], 'label': 'cut'}",
        'Yes, {"bbox_2d": [1.5, 2, 30, 40], "label": "cut"}',
        'Yes\n```json\n[{"bbox_2d" : [ 1.5 , +2 , 30., 40 ] , "label":"cut",}]\n```',
        "Yes. {'bbox_2d': [30, 40, 1.5, 2], 'label': 'cut'}",
        "Yes. {'bbox_2d': [1.5, 40, 30, 2], 'label': 'cut'}; it runs along the rim.",
    ],
)
def test_takes_quotes_floats_fences_reversed_corners_and_trailing_prose(body: str) -> None:
    read = answer(body)
    assert (read.boxes, read.labels, read.malformed) == (((1.5, 2, 30, 40),), ("cut",), ())


def test_keeps_an_apostrophe_inside_a_label() -> None:
    assert answer("Yes. {'bbox_2d': [1, 2, 3, 4], 'label': 'pill's edge'}").labels == ("pill's edge",)


def test_cuts_a_box_to_the_image() -> None:
    assert answer("Yes. {'bbox_2d': [-5, 90, 999, 120], 'label': 'cut'}").boxes == ((0, 90, 112, 100),)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("Perhaps.", "begins with neither Yes nor No"),
        ("Yesterday.", "begins with neither Yes nor No"),
        ("Yes.", "says Yes and gives no well-formed box"),
        ("No. {'bbox_2d': [1, 2, 3, 4], 'label': 'cut'}", "says No and yet gives boxes"),
        ("Yes. {'bbox_2d': [1, 2, 3, 4]}", "has no label"),
        ("Yes. {'bbox_2d': [1, 2, 3], 'label': 'cut'}", "has other than four numbers"),
        ("Yes. {'bbox_2d': [1, 2, 3, nan], 'label': 'cut'}", "has other than four numbers"),
        ("Yes. {'bbox_2d': [1, 2, 3, 1e9], 'label': 'cut'}", "has other than four numbers"),
        ("Yes. {'bbox_2d': [1, 2, 3, ٤], 'label': 'cut'}", "has other than four numbers"),
        ("Yes. {'bbox_2d': [7, 2, 7, 9], 'label': 'cut'}", "covers nothing of the 112×100 image"),
        ("Yes. {'bbox_2d': [200, 2, 300, 9], 'label': 'cut'}", "covers nothing of the 112×100 image"),
        ("Yes. {'bbox_2d': __import__('os').getcwd(), 'label': 'cut'}", "is not {'bbox_2d'"),
        ("Yes. {'box': [1, 2, 3, 4], 'label': 'cut'}", "is not {'bbox_2d'"),
        ("Yes. {'bbox_2d': [1, 2, 3, 4], 'label': 'cut'", "is not closed"),
    ],
)
def test_says_what_is_malformed(body: str, words: str) -> None:
    assert any(words in fault for fault in answer(body).malformed)


def test_says_which_box_is_malformed_and_keeps_the_others() -> None:
    read = answer("Yes. {'bbox_2d': [1, 2, 3, 4], 'label': 'cut'}, {oops}, {'bbox_2d': [5, 6, 7, 8], 'label': 'dent'}")
    assert read.labels == ("cut", "dent")
    assert len(read.malformed) == 1
    assert read.malformed[0].startswith("box 2 at character 81 ")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("<answer>No.</answer>", "<think> occurs 0 times"),
        ("<think>a</think><answer>No.", "</answer> occurs 0 times"),
        (
            "<think>a</think><answer>No.</answer><answer>No.</answer>",
            "<answer> occurs 2 times instead of once, again at",
        ),
        (
            "<answer>No.</answer><think>a</think>",
            "not in the order <think> </think> <answer> </answer>: <answer> stands at character 0",
        ),
        ("Sure! <think>a</think><answer>No.</answer>", "text at character 0 before <think>: 'Sure! '"),
        ("<think>a</think>so<answer>No.</answer>", "text at character 16 between </think> and <answer>: 'so'"),
        ("<think>a</think><answer>No.</answer>bye", "text at character 36 after </answer>: 'bye'"),
    ],
)
def test_says_what_is_wrong_with_the_tags_and_still_reads_the_verdict(text: str, words: str) -> None:
    read = parse_answer(text, Task.boxes, SIZE)
    assert read.verdict == "normal"
    assert any(words in fault for fault in read.malformed)


def test_the_last_of_several_answers_counts() -> None:
    assert (
        parse_answer("<think>a</think><answer>Yes.</answer><answer>No.</answer>", Task.boxes, SIZE).verdict == "normal"
    )


def test_prose_outside_an_answer_is_no_verdict() -> None:
    assert parse_answer("Yes, it is broken.", Task.boxes, SIZE).verdict is None


def test_reads_a_bounded_number_of_boxes() -> None:
    read = answer("Yes. " + "{'bbox_2d': [1, 2, 3, 4], 'label': 'x'}, " * (MAX_BOXES + 1))
    assert len(read.boxes) == MAX_BOXES
    assert read.malformed == (f"more than {MAX_BOXES} boxes; the rest were not read",)


@pytest.mark.parametrize(
    "piece", ["{", " ", "<think>", "<answer>", "{'bbox_2d': [", "'", "{'bbox_2d':[1,2,3,4]   ", "\x00"]
)
def test_hostile_text_is_read_in_linear_time_and_its_rest_is_reported(piece: str) -> None:
    def read_answer(text: str) -> Answer:
        return parse_answer(f"<think>a</think><answer>Yes. {text}", Task.boxes, SIZE)

    assert growth(read_answer, piece, MAX_CHARACTERS // 2) < LINEAR
    read = read_answer(piece * (10_000_000 // len(piece)))
    assert f"only the first {MAX_CHARACTERS} were read" in read.malformed[0]
    assert len(read.malformed) < MAX_BOXES + 10
    assert all(len(fault) < 500 for fault in read.malformed)


FRAGMENTS = st.sampled_from(
    [
        "<think>",
        "</think>",
        "<answer>",
        "</answer>",
        "Yes",
        "No",
        ".",
        "{",
        "}",
        "'bbox_2d'",
        ":",
        "[",
        "]",
        "1",
        ", ",
        "'",
        '"label"',
    ]
)


@given(st.text() | st.lists(FRAGMENTS | st.text(max_size=3), max_size=60).map("".join))
def test_never_raises_and_only_returns_boxes_inside_the_image(text: str) -> None:
    read = parse_answer(text, Task.boxes, SIZE)
    assert read.verdict in ("normal", "defective", None)
    assert len(read.boxes) == len(read.labels)
    for left, top, right, bottom in read.boxes:
        assert 0 <= left < right <= SIZE[0]
        assert 0 <= top < bottom <= SIZE[1]


SPANS = [st.lists(st.integers(0, side), min_size=2, max_size=2, unique=True).map(sorted) for side in SIZE]
LABELS = st.text(st.characters(categories=["L", "N", "Zs"]), min_size=1, max_size=20)


@given(st.lists(st.tuples(*SPANS, LABELS), min_size=1, max_size=8), LABELS)
def test_reads_back_what_was_written_in_form(items: list, think: str) -> None:
    boxes = tuple((x[0], y[0], x[1], y[1]) for x, y, _ in items)
    labels = tuple(label for _, _, label in items)
    written = ", ".join(
        f"{{'bbox_2d': {list(box)}, 'label': '{label}'}}" for box, label in zip(boxes, labels, strict=True)
    )
    assert answer(f"Yes. {written}", think) == Answer(
        think=think.strip(), answer=f"Yes. {written}", tagged=True, verdict="defective", boxes=boxes, labels=labels
    )
