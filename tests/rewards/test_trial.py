"""The trial of the user's reward functions before a run, and what they print."""

import sys
import time
from pathlib import Path

import pytest

from rewards.compose import Composer, read
from rewards.config import FunctionConfig, OnError, RewardConfig, Signature
from rewards.item import item_of
from rewards.trial import MALFORMED, try_functions
from rl.types import Sample, Target, Task

RIGHT = "<think>A line.</think><answer>Yes. {'bbox_2d': [0, 0, 4, 4], 'label': 'cut'}</answer>"
TARGET = Target(label="defective", boxes=((0.0, 0.0, 4.0, 4.0),), box_labels=("cut",), rationale="A line.")
SAMPLE = Sample(id="part/7", images=(), question="Is it whole?", target=TARGET, category="part")
CALLS: list[list[str]] = []


def tried(name: str, signature: Signature = Signature.trl, **options) -> list[str]:
    """Try a function of this file on SAMPLE; return what was heard."""
    function = FunctionConfig(path=f"{__name__}.{name}", signature=signature, weight=0.0)
    heard: list[str] = []
    CALLS.clear()
    try_functions(RewardConfig(functions=[function], **options), SAMPLE, heard.append)
    return heard


def line_of(code: str) -> int:
    """Return the number of the first line of this file that holds the code."""
    lines = Path(__file__).read_text().splitlines()
    return next(number for number, line in enumerate(lines, start=1) if code in line)


def counts(prompts, completions, **columns):
    CALLS.append(completions)
    return [1.0] * len(completions)


def counts_one(data_source, solution_str, ground_truth, extra_info):
    CALLS.append([solution_str])
    return 1.0


def test_a_function_judges_a_right_and_a_malformed_answer_to_a_sample_of_the_run():
    assert tried("counts") == []
    assert CALLS == [[RIGHT, MALFORMED]]
    assert tried("counts_one", Signature.verl) == []
    assert CALLS == [[RIGHT], [MALFORMED]]


def test_a_sample_without_a_right_answer_is_tried_with_malformed_ones():
    sample = Sample(id="s", images=(), question="", target=Target(label=""), category="", task=Task.choice)
    CALLS.clear()
    config = RewardConfig(functions=[FunctionConfig(path=f"{__name__}.counts")])
    try_functions(config, sample, CALLS.append)
    assert CALLS == [[MALFORMED, MALFORMED]]


def splits(prompts, completions, **columns):
    return [within(text) for text in completions]


def within(text):
    return float(len(text.split("<answer>")[1]))


def test_an_exception_is_told_with_the_file_and_line_of_the_users_code():
    place = rf"{Path(__file__).name}:{line_of('return float(len(text.split')}\)"
    with pytest.raises(ValueError, match=rf"reward splits raised IndexError on sample part/7: .*{place}"):
        tried("splits")


def test_a_place_within_a_library_is_told_by_the_line_that_led_there(tmp_path, monkeypatch):
    (tmp_path / "site-packages").mkdir()
    (tmp_path / "site-packages" / "a_library.py").write_text("def call(value):\n    return 1 / value\n")
    (tmp_path / "asks_a_library.py").write_text("import a_library\n\ndef f(completions, **_):\n    a_library.call(0)\n")
    monkeypatch.syspath_prepend(str(tmp_path / "site-packages"))
    monkeypatch.syspath_prepend(str(tmp_path))
    config = RewardConfig(functions=[FunctionConfig(path="asks_a_library.f")])
    with pytest.raises(ValueError, match=r"raised ZeroDivisionError .*asks_a_library\.py:4\)"):
        try_functions(config, SAMPLE, print)


def test_a_module_that_fails_while_it_is_imported_is_told_with_its_line(tmp_path, monkeypatch):
    (tmp_path / "half_written.py").write_text("import sys\n\nimport no_such_library\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ValueError, match=r"cannot import half_written\.f \(ModuleNotFoundError.*half_written\.py:3\)"):
        try_functions(RewardConfig(functions=[FunctionConfig(path="half_written.f")]), SAMPLE, print)


def says_a_word(prompts, completions, **columns):
    return ["good"] * len(completions)


def gives_a_number(prompts, completions, **columns):
    return 1.0


def gives_a_list(data_source, solution_str, ground_truth, extra_info):
    return {"reward": 1.0}


def is_infinite(prompts, completions, **columns):
    return [1.0, float("inf")]


@pytest.mark.parametrize(
    ("name", "signature", "sentence"),
    [
        ("says_a_word", Signature.trl, "says_a_word gave 'good'; it must give a number or None for each completion"),
        ("gives_a_number", Signature.trl, r"gives_a_number gave 1\.0; it must give a list with a value for each"),
        ("gives_a_list", Signature.verl, "gives_a_list gave a dict without 'score'"),
        ("is_infinite", Signature.trl, "reward is_infinite gave inf on sample part/7; it must be a finite number"),
    ],
)
def test_what_is_no_finite_number_is_told(name: str, signature: Signature, sentence: str):
    with pytest.raises(ValueError, match=sentence):
        tried(name, signature)


def is_shy(prompts, completions, **columns):
    return [None if text == MALFORMED else 1.0 for text in completions]


def is_slow(prompts, completions, **columns):
    time.sleep(5)


def test_answers_that_stay_unjudged_are_a_warning():
    assert tried("is_shy") == [
        "warning: a malformed answer would be unjudged: reward is_shy returned None for this sample"
    ]
    slow = tried("is_slow", timeout_s=0.1)
    assert len(slow) == 2 and "no answer in reward.timeout_s=0.1 s" in slow[0]


def test_a_function_that_hangs_keeps_no_stream(capsys):
    heard = tried("is_slow", timeout_s=0.1)
    print("the run goes on")
    assert capsys.readouterr().out == "the run goes on\n" and not any("goes on" in line for line in heard)


def test_a_function_that_may_raise_by_config_does_not_end_the_run():
    first, second = tried("splits", on_error=OnError.unjudged)
    assert first.startswith("warning: a right answer would be unjudged: reward splits raised IndexError")
    assert second.startswith("warning: a malformed answer")


def talks(prompts, completions, **columns):
    print("two\nlines")
    print("a bar 10 %\ra bar 100 %", file=sys.stderr)
    print("no end", end="")
    return [1.0] * len(completions)


def test_printed_lines_are_told_with_the_name_of_the_reward(capsys):
    heard = tried("talks")
    lines = ["two", "lines", "a bar 100 %", "no end"]
    assert heard == [f"reward talks: {line}" for line in lines]
    assert capsys.readouterr() == ("", "")


def test_without_a_listener_the_output_of_a_function_goes_where_it_went(capsys):
    composer = Composer(RewardConfig(functions=[FunctionConfig(path=f"{__name__}.talks")]))
    composer.score([item_of(SAMPLE)], read([item_of(SAMPLE)]))
    assert capsys.readouterr().out == "two\nlines\nno end"


def raises_after_a_word(prompts, completions, **columns):
    print("about to fail")
    raise KeyError("missing")


def test_lines_before_an_exception_are_told():
    heard: list[str] = []
    config = RewardConfig(functions=[FunctionConfig(path=f"{__name__}.raises_after_a_word")])
    with pytest.raises(ValueError, match="KeyError"):
        try_functions(config, SAMPLE, heard.append)
    assert heard == ["reward raises_after_a_word: about to fail"]
