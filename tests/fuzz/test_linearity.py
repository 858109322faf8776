"""A gate: whatever reads a text of a model or a user takes time linear in its length, whatever the text is."""

import inspect
import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from importlib import import_module
from pathlib import Path
from types import FunctionType

import pytest

import rewards.answers
from builders.growth import cpu_time
from conf.schema import TrainConfig
from launch.command.mistakes import unknown_key
from rewards.answers.boxes import read_boxes, read_json_boxes
from rewards.answers.cells import read_cells
from rewards.answers.choice import read_option, read_verdict
from rewards.answers.conclusion import concluded_option, mentions
from rewards.answers.parse import MAX_CHARACTERS, parse_answer, read_tagged
from rewards.answers.released_choice import released_choice
from rewards.answers.spans import Span, excerpt, first_span, is_tagged, last_span, read_spans, with_knowledge
from rewards.component import BatchComponent
from rewards.config import RewardConfig
from rewards.item import Item
from rewards.rival import crossroads_of, fork_of, verdict_at
from rl.data.config import DataConfig, Instructions
from rl.data.knowledge import entries
from rl.data.knowledge.entries import Entry, called_alike, object_agnostic, read_mmad, read_yaml
from rl.data.knowledge.leaks import leaks
from rl.data.knowledge.naming import agnostic, names_left
from rl.data.knowledge.routing import Wanted, named_knowledge, read_trajectory, verify
from rl.data.lessons import read_lessons
from rl.data.pairs.template_teacher import template_trajectory
from rl.data.pieces import pieces, span_between
from rl.data.prompts import PromptBuilder, answer_text
from rl.data.questions import concluding, kind_text, options_of, with_options
from rl.faults import UserError, one_line
from rl.types import Sample, Target, Task

pytestmark = pytest.mark.slow

SHORT, LONG = 4_000, 16_000
"""Characters of the two texts that are compared."""
GREATEST = 5.0
"""Greatest time of the long text, as a multiple of the short one's: 4 and some noise; it is 16 of what is quadratic."""
FLOOR_S = 3e-4
"""Shorter times of the short text count as this long, so that noise does not decide."""
ROUNDS = 12
SIZE = (100, 100)
TARGET = Target(
    label="defective",
    boxes=((0.0, 0.0, 10.0, 10.0),),
    box_labels=("scratch",),
    rationale="A line.",
    option="B",
    options={"A": "hole", "B": "scratch"},
    cells=frozenset({(1, 1)}),
    knowledge="A line.",
    offered=("Scratch", "Hole"),
)
SAMPLE = Sample(id="1", images=(), question="Which?", target=TARGET, category="metal", task=Task.routed)
WANTED = Wanted(knowledge="Scratch", offered=TARGET.offered, target=TARGET, right=True)
Text = Callable[[int], str]
"""Function that writes a text of about so many characters."""


def times(piece: str, *, before: str = "", after: str = "") -> Text:
    return lambda length: f"{before}{piece * (length // len(piece))}{after}"


def numbered(piece: str, *, before: str = "", after: str = "") -> Text:
    """Write pieces that differ in their numbers."""
    return lambda length: before + "".join(map(piece.format, range(length // len(piece.format(0))))) + after


ANY = tuple(map(times, ("a", " ", "a ", "\n", "é", "\u200b", "1", "(", "<", "{", "[", "\\", "'", "a.b: ")))
TAGS = (
    *map(times, ("<think>", "</think>", "</think> ", "<answer>", "</answer>", "<knowledge>", "<seg></seg>")),
    *(times(piece, before="<think>", after="</think><answer>No</answer>") for piece in ("</think>", "<", " ")),
    times(" ", before="<think></think>", after="<answer>B</answer>"),
    times("<think></think><answer></answer>"),
)
BOXES = tuple(
    times(piece, before="Yes. ")
    for piece in (
        "{'bbox_2d': [1, 2, 3, 4], 'label': 'a'}, ",
        '{"bbox_2d": [1, 2, 3, 4], "label": "a"}, ',
        "{'bbox_2d': [1, 2, 3, ",
        '{"label": "\\\\',
        '{"bbox_2d": [' + "1" * 180,
        "{'bbox_2d': [1,2,3,4], 'label': '" + "a'" * 150 + "'}",
        "{" + " " * 60,
        "```json ",
        "[{}, ",
    )
)
CELLS = tuple(map(times, ("(1,2)-(1,3), ", "(1,2) - ", "(99,1), ", "(" + "x" * 60, "(1," + " " * 90, "( ", "(1,2),")))
WORDS = tuple(
    map(
        times,
        (
            *("so A ", "so not B, ", "so" + " " * 30, "answer ", "the answer is ", "answer: " + "is the " * 9, "not "),
            *("A is correct ", "A is not ", "A isn't ", "(B) ", "**B** ", "B.", "A ", "rejected out ", "no no A, "),
            *("scratch ", "not scratch. ", "答案A", "choose choose"),
        ),
    )
)
NAMES = (
    *map(times, ("metalnut", "metalnuts", "metal nut ", "metal-", "metalnut metal ", "metalnut1", "İ metal")),
    *(times("metalnut", after=after) for after in ("1" * 3_000, "ed", " nut", "metal nut")),
    times("1", before="metalnut"),
    numbered("metal\u200bnut{:05d} "),
    numbered("metalnut{:05d}"),
)
LEAKS = tuple(
    map(
        times,
        (
            *("red ", "red box ", "as given ", "hint ", "hints at ", "the given ", "according to the ", "in red "),
            *("as is was were ", "box that is drawn ", "the highlighted ", "ｆｕｌｌ ", "\u00ad", "mask ", "hint of "),
        ),
    )
)
TRAJECTORIES = (
    *TAGS,
    *(times(piece, before="<knowledge>Hole</knowledge><answer>") for piece in ("answer is ", "answer: ", "A. ", " ")),
    times("scratch hole ", before="<knowledge>", after="</knowledge><answer>B</answer>"),
)


@dataclass(frozen=True, kw_only=True)
class Reader:
    """A function that takes a text of a model or a user."""

    of: Callable[..., object]
    read: Callable[[str], object]
    """Call of the function, with the text as the one that it reads."""
    texts: tuple[Text, ...]
    name: str = ""
    """Name in the list of tests; "" takes that of the function."""


def span(text: str) -> Span:
    return Span(0, text, True)


def tagged(text: str) -> str:
    return f"<think>{text}</think><answer>{text}</answer>"


def entry(text: str) -> Entry:
    return Entry(dataset="d", object="metal_nut", defect="scratch", name="Scratch", text=text)


def refused(read: Callable[[], object]) -> None:
    """Call what is free to refuse the text."""
    try:
        read()
    except UserError as error:
        assert str(error)


PARSERS = (
    *(
        Reader(of=parse_answer, read=lambda text, task=task: parse_answer(text, task, SIZE), texts=(*ANY, *TAGS))
        for task in Task
    ),
    *(
        Reader(of=parse_answer, read=lambda text, task=task: parse_answer(tagged(text), task, SIZE), texts=texts)
        for task, texts in ((Task.boxes, BOXES), (Task.grounding, BOXES), (Task.choice, WORDS), (Task.yes_no, ANY))
    ),
    Reader(
        of=parse_answer,
        read=lambda text: parse_answer(f"<seg>{text}</seg><think>-</think><answer>B</answer>", Task.grid, SIZE),
        texts=CELLS,
    ),
    Reader(of=read_tagged, read=lambda text: read_tagged(text, Task.routed, []), texts=TAGS),
    Reader(of=read_boxes, read=lambda text: read_boxes(span(text), SIZE, []), texts=(*ANY, *BOXES)),
    Reader(of=read_json_boxes, read=lambda text: read_json_boxes(span(text), SIZE, []), texts=(*ANY, *BOXES)),
    Reader(of=read_cells, read=lambda text: read_cells(span(text), []), texts=(*ANY, *CELLS)),
    Reader(of=read_verdict, read=lambda text: read_verdict(span(text), []), texts=ANY),
    Reader(of=read_option, read=lambda text: read_option(span(text), []), texts=ANY),
    Reader(of=concluded_option, read=lambda text: concluded_option(text, TARGET), texts=(*ANY, *WORDS)),
    Reader(of=mentions, read=lambda text: mentions(text, "ABC"), texts=(*ANY, *WORDS)),
    Reader(of=released_choice, read=released_choice, texts=(*ANY, *WORDS)),
    Reader(of=read_spans, read=lambda text: read_spans(text, ("seg", "think", "answer"), []), texts=TAGS),
    Reader(of=with_knowledge, read=lambda text: with_knowledge(text, ("think", "answer")), texts=TAGS),
    Reader(of=is_tagged, read=is_tagged, texts=TAGS),
    Reader(of=first_span, read=lambda text: first_span(text, "think"), texts=TAGS),
    Reader(of=last_span, read=lambda text: last_span(text, "answer"), texts=TAGS),
    Reader(of=excerpt, read=excerpt, texts=ANY),
)
OTHERS = (
    Reader(of=verdict_at, read=lambda text: verdict_at(text, Task.yes_no), texts=TAGS),
    Reader(of=fork_of, read=lambda text: fork_of(text, text, {}, Task.yes_no), texts=TAGS),
    Reader(of=crossroads_of, read=lambda text: crossroads_of(text, text, {}, Task.choice, "AB"), texts=TAGS),
    Reader(of=agnostic, read=lambda text: agnostic(text, "metal_nut"), texts=(*ANY, *NAMES)),
    Reader(of=names_left, read=lambda text: names_left(text, "metal_nut"), texts=(*ANY, *NAMES)),
    Reader(of=object_agnostic, read=lambda text: refused(lambda: object_agnostic([entry(text)])), texts=NAMES),
    Reader(of=called_alike, read=called_alike, texts=ANY),
    Reader(of=entries.with_knowledge, read=lambda text: entries.with_knowledge(text, [entry(text)] * 2), texts=ANY),
    Reader(of=leaks, read=leaks, texts=(*ANY, *LEAKS)),
    Reader(of=leaks, read=lambda text: leaks(text, f"{text} more"), texts=LEAKS[:3]),
    Reader(of=read_trajectory, read=read_trajectory, texts=(*ANY, *TRAJECTORIES)),
    Reader(of=named_knowledge, read=lambda text: named_knowledge(text, TARGET.offered), texts=(*ANY, *WORDS)),
    Reader(of=verify, read=lambda text: verify(text, WANTED, ("Keep to the form.",)), texts=TRAJECTORIES),
    Reader(
        of=template_trajectory,
        read=lambda text: template_trajectory(entry(text), SAMPLE, right=True, seed=0),
        texts=(*ANY, *map(times, ("as given in red. ", "twelve letters; "))),
    ),
    Reader(
        of=answer_text,
        read=lambda text: answer_text(replace(TARGET, knowledge=text, rationale=text), Task.routed),
        texts=(*ANY, times(".")),
    ),
    Reader(of=pieces, read=pieces, texts=(*ANY, times("Ã"), times("Ġ"))),
    Reader(of=span_between, read=lambda text: span_between(text, "<think>", "</think>"), texts=TAGS),
    Reader(of=kind_text, read=kind_text, texts=(times("_"),)),
    Reader(of=options_of, read=lambda text: options_of([text, "hole"], text), texts=ANY),
    Reader(of=with_options, read=lambda text: with_options(text, {"A": text}), texts=ANY),
    Reader(of=concluding, read=lambda text: concluding(text, "A"), texts=ANY),
    Reader(of=one_line, read=one_line, texts=ANY),
    Reader(
        of=unknown_key,
        read=lambda text: unknown_key(text, TrainConfig),
        texts=tuple(map(times, ("a", "algo.", "batch_size"))),
    ),
)
COMPONENTS: dict[str, BatchComponent] = {
    part.name: part.metadata["component"] for part in fields(RewardConfig) if "component" in part.metadata
}
TEXTS_OF_TASK = {Task.boxes: BOXES, Task.grounding: BOXES, Task.grid: WORDS[:4]}


def judged(name: str) -> Callable[[str], object]:
    """Return a function that has a reward judge a text, as reasoning and as an answer."""
    component = COMPONENTS[name]
    judge, task = component.batch_judge(component.options()), component.tasks[0]
    item = Item(id="1", text="", task=task, target=TARGET, image_size=SIZE, num_tokens=9, agreement=0.5)
    return lambda text: judge([item], [parse_answer(tagged(text), task, SIZE)])


REWARDS = tuple(
    Reader(
        of=component.batch_judge,
        read=judged(name),
        texts=TEXTS_OF_TASK.get(component.tasks[0], WORDS[:6]),
        name=f"reward {name}",
    )
    for name, component in COMPONENTS.items()
    # Its encoder takes seconds to load and reads the first 8,000 characters.
    if name != "domain"
)


def check_linear(read: Callable[[str], object], text: Text) -> None:
    """Compare the least times of some rounds, which interruptions can only make longer."""
    short_s = long_s = float("inf")
    for _ in range(ROUNDS):
        short_s = min(short_s, cpu_time(read, text(SHORT)))
        long_s = min(long_s, cpu_time(read, text(LONG)))
        if long_s <= GREATEST * max(short_s, FLOOR_S):
            return
    raise AssertionError(
        f"{LONG} characters of {text(LONG)[:60]!r} took {long_s:.4f} s, {long_s / short_s:.1f} times as long as {SHORT}"
    )


def named(reader: Reader) -> str:
    return reader.name or reader.of.__qualname__


@pytest.mark.parametrize("reader", [*PARSERS, *OTHERS, *REWARDS], ids=named)
def test_reading_takes_time_linear_in_the_length(reader: Reader):
    for text in reader.texts:
        check_linear(reader.read, text)


FILES: dict[Callable[[Path], object], Text] = {
    read_yaml: numbered("  d{:05d}: x\n", before="d:\n o:\n  good: x\n"),
    read_mmad: numbered('"d{:05d}": "x", ', before='{"d": {"o": {', after='"good": "x"}}}'),
    lambda path: read_lessons(path, with_rejected=False): numbered('{{"id": "s{:05d}", "chosen": "a"}}\n'),
}


@pytest.mark.parametrize("read", FILES, ids=["knowledge in YAML", "knowledge in JSON", "lessons"])
def test_reading_a_file_takes_time_linear_in_its_length(read: Callable[[Path], object], tmp_path: Path):
    def write_and_read(text: str) -> None:
        (tmp_path / "file").write_text(text, encoding="utf-8")
        assert read(tmp_path / "file")

    check_linear(write_and_read, FILES[read])


def test_finding_the_words_of_a_question_takes_time_linear_in_its_length(tiny_model: Path):
    builder = PromptBuilder(str(tiny_model), DataConfig(instructions=Instructions.none))
    check_linear(lambda text: builder.assemble(replace(SAMPLE, question=text), []), times("defect "))


def parsers() -> Iterator[FunctionType]:
    """Yield the public functions of rewards/answers that take a text or a span of one."""
    for found in pkgutil.iter_modules(rewards.answers.__path__):
        module = import_module(f"{rewards.answers.__name__}.{found.name}")
        for name, function in inspect.getmembers(module, inspect.isfunction):
            takes = [parameter.annotation for parameter in inspect.signature(function).parameters.values()]
            if function.__module__ == module.__name__ and not name.startswith("_") and takes[:1] in ([str], [Span]):
                yield function


def test_every_parser_of_answers_is_in_the_table():
    found = list(parsers())
    assert parse_answer in found and read_cells in found
    assert [function.__qualname__ for function in found if function not in {reader.of for reader in PARSERS}] == []


def test_the_gate_finds_what_is_quadratic():
    check_linear(lambda text: sum(map(ord, text)), times("ab"))
    with pytest.raises(AssertionError, match="times as long as 4000"):
        check_linear(lambda text: [text.count(letter) for letter in text[::16]], times("ab"))


def test_the_longest_answer_that_is_read_is_longer_than_what_is_measured():
    assert 2 * LONG < MAX_CHARACTERS
