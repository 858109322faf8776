"""Answers of all tasks but boxes, which test_parse.py covers."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders.growth import LINEAR, growth
from rewards.answers.boxes import MAX_BOXES
from rewards.answers.cells import MAX_RUNS
from rewards.answers.parse import MAX_CHARACTERS, Answer, parse_answer
from rl.data.grid import SIDE, cells_text
from rl.types import Task

SIZE = (112, 100)


def read(body: str, task: Task) -> Answer:
    return parse_answer(f"<think>Looks odd.</think><answer>{body}</answer>", task, SIZE)


def seg(cells: str) -> Answer:
    return parse_answer(f"<seg>{cells}</seg><think>Bent.</think><answer>B</answer>", Task.grid, SIZE)


def test_yes_or_no_needs_no_box() -> None:
    assert (read("Yes.", Task.yes_no).verdict, read("Yes.", Task.yes_no).malformed) == ("defective", ())
    assert read("Perhaps", Task.yes_no).malformed == (
        "the answer begins with neither Yes nor No at character 33: 'Perhaps'",
    )


@pytest.mark.parametrize("body", ["B", " b ", "(B)", "**B**", "B.", "\nB\n", "“B”"])
def test_one_letter_is_an_option(body: str) -> None:
    assert (read(body, Task.choice).option, read(body, Task.choice).malformed) == ("B", ())


@pytest.mark.parametrize("body", ["B. Scratch", "B) a long scratch", "(B): scratch", "B\nScratch"])
def test_a_letter_before_its_text_is_read_and_reported(body: str) -> None:
    answer = read(body, Task.choice)
    assert answer.option == "B"
    assert len(answer.malformed) == 1
    assert answer.malformed[0].startswith("the answer holds more than the letter B at character 3")


@pytest.mark.parametrize(
    "body", ["", "A scratch", "scratch", "Option B", "BC", "A, B", "A or B", "1", "B_", "Ä", "Б", "yes"]
)
def test_anything_but_one_letter_is_no_option(body: str) -> None:
    answer = read(body, Task.choice)
    assert answer.option is None
    assert answer.malformed[0].startswith("the answer is not one option's letter at character 33")


@pytest.mark.parametrize(
    ("text", "cells"),
    [
        ("", set()),
        (" \n", set()),
        ("(3,7)", {(3, 7)}),
        ("(3,7)-(3,9)", {(3, 7), (3, 8), (3, 9)}),
        ("(11,12) - (11,14), (12,11)", {(11, 12), (11, 13), (11, 14), (12, 11)}),
        ("(3,7)–(3,8),(4,7)—(4,7)", {(3, 7), (3, 8), (4, 7)}),
        (" ( 0 , 15 )\n,\n(15,0) ", {(0, 15), (15, 0)}),
        ("(3,7), (3,7)-(3,8)", {(3, 7), (3, 8)}),
    ],
)
def test_reads_cells_and_runs(text: str, cells: set) -> None:
    answer = seg(text)
    assert (answer.cells, answer.option, answer.malformed) == (cells, "B", ())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("none", "run 1 at character 5 is not (row,column) or (row,first)-(row,last): 'none'"),
        ("(3,7", "run 1 at character 5 is not"),
        ("(3,7),", "run 2 at character 11 is not"),
        ("(3,7) (3,8)", "run 1 at character 5 is not"),
        ("(3.0,7)", "run 1 at character 5 is not"),
        ("(-1,7)", "run 1 at character 5 is not"),
        ("(٣,7)", "run 1 at character 5 is not"),
        ("(16,0)", "run 1 at character 5 leaves the 16×16 grid or runs backwards: '(16,0)'"),
        ("(0,0), (0,14)-(0,16)", "run 2 at character 12 leaves the 16×16 grid"),
        ("(3,9)-(3,7)", "run 1 at character 5 leaves the 16×16 grid or runs backwards"),
        ("(3,7)-(4,7)", "run 1 at character 5 leaves the 16×16 grid or runs backwards"),
        ("(1,1), " * MAX_RUNS + "(1,1)", f"more than {MAX_RUNS} runs; the rest were not read"),
    ],
)
def test_one_malformed_run_leaves_no_cells(text: str, words: str) -> None:
    answer = seg(text)
    assert answer.cells is None
    assert words in answer.malformed[0]


def test_each_malformed_run_is_reported_with_its_place() -> None:
    places = [fault.split(" is not")[0].split(" leaves")[0] for fault in seg("(1,x), (2,2), (3,99), [4,4]").malformed]
    assert places == ["run 1 at character 5", "run 3 at character 19", "run 4 at character 27"]


@pytest.mark.parametrize("text", ["<think>a</think><answer>B</answer>", "<seg>(1,1)<think>a</think><answer>B</answer>"])
def test_a_missing_or_open_seg_gives_no_cells(text: str) -> None:
    answer = parse_answer(text, Task.grid, SIZE)
    assert (answer.cells, answer.option, bool(answer.malformed)) == (None, "B", True)


def test_seg_comes_first() -> None:
    answer = parse_answer("<think>a</think><seg></seg><answer>B</answer>", Task.grid, SIZE)
    assert "<think> stands at character 0" in answer.malformed[0]


def routed(knowledge: str) -> Answer:
    return parse_answer(f"{knowledge}<think>Bent.</think><answer>B</answer>", Task.routed, SIZE)


def test_a_routed_answer_has_its_knowledge_and_its_option() -> None:
    answer = routed("<knowledge> Bent Pin: it leans. </knowledge>\n")
    assert (answer.knowledge, answer.think, answer.option) == ("Bent Pin: it leans.", "Bent.", "B")
    assert (answer.tagged, answer.malformed) == (True, ())


@pytest.mark.parametrize(
    ("knowledge", "words"),
    [
        ("", "<knowledge> occurs 0 times instead of once"),
        ("<knowledge>Bent", "</knowledge> occurs 0 times instead of once"),
        ("<knowledge>a</knowledge><knowledge>b</knowledge>", "<knowledge> occurs 2 times instead of once"),
        ("<knowledge> \n</knowledge>", "no knowledge is chosen at character 11"),
        ("Well, <knowledge>a</knowledge>", "text at character 0 before <knowledge>: 'Well, '"),
    ],
)
def test_a_routed_answer_chooses_knowledge_once(knowledge: str, words: str) -> None:
    answer = routed(knowledge)
    assert answer.option == "B" and answer.malformed[0].startswith(words)


def test_knowledge_comes_first_in_a_routed_answer() -> None:
    answer = parse_answer("<think>a</think><knowledge>k</knowledge><answer>B</answer>", Task.routed, SIZE)
    assert (answer.knowledge, answer.option) == ("k", "B")
    assert "the tags are not in the order <knowledge> </knowledge> <think>" in answer.malformed[0]


BOX = '{"bbox_2d": [1, 2.5, 30, 40], "label": "cup"}'


@pytest.mark.parametrize(
    "body",
    [
        BOX,
        f"[{BOX}]",
        f"```json\n[\n\t{BOX}\n]\n```",
        '{"label": "cup", "bbox_2d": [30, 40, 1, 2.5]}',
        ' { "bbox_2d" :[1,2.5,30,40] ,"label":"cup"} ',
    ],
)
def test_reads_a_json_box_or_a_list(body: str) -> None:
    answer = read(body, Task.grounding)
    assert (answer.boxes, answer.labels, answer.malformed) == (((1, 2.5, 30, 40),), ("cup",), ())


def test_reads_several_json_boxes_and_none() -> None:
    assert read(f"[{BOX}, {BOX}]", Task.grounding).boxes == ((1, 2.5, 30, 40),) * 2
    assert read("[]", Task.grounding) == Answer(think="Looks odd.", answer="[]", tagged=True)


def test_json_strings_may_hold_quotes_and_braces() -> None:
    label = 'a "cup" {red} \\ é'
    body = json.dumps([{"bbox_2d": [1, 2, 3, 4], "label": label}], ensure_ascii=False)
    assert (read(body, Task.grounding).labels, read(body, Task.grounding).malformed) == ((label,), ())


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("", "the answer is no JSON object or list of them at character 33: ''"),
        ("{}", "box 1 at character 33 is not"),
        ("[1, 2, 3, 4]", "is no JSON object"),
        (f"Here: {BOX}", "is no JSON object"),
        (f"{BOX}, {BOX}", "is no JSON object"),
        (f"[{BOX}", "is no JSON object"),
        (f"[{BOX} {BOX}]", "is no JSON object"),
        (f"[[{BOX}]]", "is no JSON object"),
        ("{'bbox_2d': [1, 2, 3, 4], 'label': 'cup'}", "box 1 at character 33 is not"),
        ('{"bbox_2d": [1, 2, 3, 4]}', "box 1 at character 33 has no label"),
        ('{"bbox_2d": [1, 2, 3], "label": "cup"}', "has other than four numbers"),
        ('{"bbox_2d": [1, 2, 3, 1e9], "label": "cup"}', "has other than four numbers"),
        ('{"bbox_2d": [1, 2, 1, 9], "label": "cup"}', "covers nothing of the 112×100 image"),
        ('{"bbox_2d": [1, 2, 3, 4], "label": "cup", "score": 1}', "box 1 at character 33 is not"),
        ("[" * 40_000, "is no JSON object"),
        (f"[{', '.join([BOX] * (MAX_BOXES + 1))}]", f"more than {MAX_BOXES} boxes"),
    ],
)
def test_names_the_malformed_part_of_json(body: str, words: str) -> None:
    assert any(words in fault for fault in read(body, Task.grounding).malformed)


@pytest.mark.parametrize("task", [Task.yes_no, Task.choice, Task.grounding])
def test_knowledge_may_stand_before_think_or_before_the_answer(task: Task) -> None:
    body = {Task.yes_no: "No", Task.choice: "B", Task.grounding: "[]"}[task]
    for text in (
        f"<knowledge>Pins are straight.</knowledge><think>Bent.</think><answer>{body}</answer>",
        f"<think>Bent.</think>\n<knowledge> Pins are straight. </knowledge><answer>{body}</answer>",
    ):
        answer = parse_answer(text, task, SIZE)
        assert (answer.knowledge, answer.think, answer.malformed) == ("Pins are straight.", "Bent.", ())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("<think>a</think><answer>B</answer><knowledge>k</knowledge>", "not in the order"),
        ("<think>a<knowledge>k</knowledge></think><answer>B</answer>", "not in the order"),
        ("<knowledge>k<think>a</think><answer>B</answer>", "</knowledge> occurs 0 times"),
        ("k</knowledge><think>a</think><answer>B</answer>", "<knowledge> occurs 0 times"),
    ],
)
def test_misplaced_knowledge_is_reported(text: str, words: str) -> None:
    assert words in parse_answer(text, Task.choice, SIZE).malformed[0]


def test_knowledge_departs_from_the_form_of_boxes() -> None:
    answer = parse_answer("<knowledge>k</knowledge><think>a</think><answer>No.</answer>", Task.boxes, SIZE)
    assert (answer.knowledge, answer.verdict) == ("k", "normal")
    assert answer.malformed == ("text at character 0 before <think>: '<knowledge>k</knowledge>'",)


@pytest.mark.parametrize(
    ("text", "tagged"),
    [
        ("<think>a</think><answer>B</answer>", True),
        ("Well: <think></think> \n<answer></answer> bye", True),
        ("<think>a</think>so<answer>B</answer>", False),
        ("<think>a</think><answer>B", False),
        ("</think><answer>B</answer><think>", False),
        ("<think>a</think>so<answer>B</answer><think>a</think><answer>B</answer>", True),
    ],
)
def test_detects_an_answer_directly_after_think(text: str, tagged: bool) -> None:
    assert parse_answer(text, Task.choice, SIZE).tagged is tagged


PIECES = ["(", "(1,1)-", "(1,1) ", "{", '{"bbox_2d": [', '{"bbox_2d": [1,2,3,4], "label": "', " ", "[", "<seg>", "\\"]


@pytest.mark.parametrize("task", Task)
@pytest.mark.parametrize("piece", PIECES)
def test_hostile_text_is_read_in_linear_time(task: Task, piece: str) -> None:
    def read(many: str) -> None:
        parse_answer(f"<seg>{many}</seg><think>a</think><answer>{many}", task, SIZE)
        parse_answer(f"<think>a</think><answer>{many}", task, SIZE)

    assert growth(read, piece, MAX_CHARACTERS // 2) < LINEAR


@pytest.mark.parametrize("task", Task)
@pytest.mark.parametrize("piece", PIECES)
def test_the_rest_of_a_hostile_text_is_not_read(task: Task, piece: str) -> None:
    many = piece * (1_000_000 // len(piece))
    answer = parse_answer(f"<seg>{many}</seg><think>a</think><answer>{many}", task, SIZE)
    answer_too = parse_answer(f"<think>a</think><answer>{many}", task, SIZE)
    assert "only the first 50000 were read" in answer.malformed[0]
    assert sum(map(len, answer_too.malformed)) < 100_000


CELLS = st.frozensets(st.tuples(st.integers(0, SIDE - 1), st.integers(0, SIDE - 1)))


@given(CELLS)
def test_reads_back_cells_as_the_recipes_write_them(cells: frozenset) -> None:
    answer = seg(cells_text(cells))
    assert (answer.cells, answer.malformed) == (cells, ())


LABELS = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="<>"), min_size=1, max_size=20)
SPANS = [st.lists(st.integers(0, side), min_size=2, max_size=2, unique=True).map(sorted) for side in SIZE]


@given(st.lists(st.tuples(*SPANS, LABELS), max_size=8), st.booleans(), st.sampled_from([None, 1]))
def test_reads_back_json_boxes(items: list, label_first: bool, indent: int | None) -> None:
    objects = [{"bbox_2d": [x[0], y[0], x[1], y[1]], "label": label} for x, y, label in items]
    written = [dict(reversed(item.items())) if label_first else item for item in objects]
    answer = read(json.dumps(written, ensure_ascii=False, indent=indent), Task.grounding)
    assert answer.malformed == ()
    assert [list(box) for box in answer.boxes] == [item["bbox_2d"] for item in objects]
    assert list(answer.labels) == [item["label"] for item in objects]


@given(st.text(alphabet="(),-0123456789 ;", max_size=30))
def test_cells_are_read_only_where_an_independent_reading_agrees(text: str) -> None:
    answer = seg(text)
    assert (answer.cells is None) == bool(answer.malformed)
    if answer.cells:
        runs = text.replace(" ", "").replace(")-(", "~").replace("),(", "|").strip("()").split("|")
        spelled = [[tuple(map(int, cell.split(","))) for cell in run.split("~")] for run in runs]
        assert answer.cells == {(run[0][0], column) for run in spelled for column in range(run[0][1], run[-1][1] + 1)}
