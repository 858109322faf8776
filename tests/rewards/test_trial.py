"""The trial of the user's reward functions before a run, and what they print."""

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
OF_USER = "builders.user_rewards"
FILE = Path(__file__).parents[1] / "builders/user_rewards.py"


def tried(name: str, signature: Signature = Signature.trl, **options) -> list[str]:
    """Try a function of builders/user_rewards.py on SAMPLE; return what was heard."""
    function = FunctionConfig(path=f"{OF_USER}.{name}", signature=signature, weight=0.0)
    heard: list[str] = []
    try_functions(RewardConfig(functions=[function], **options), SAMPLE, heard.append)
    return heard


def line_of(code: str) -> int:
    """Return the number of the first line of that file that holds the code."""
    lines = FILE.read_text().splitlines()
    return next(number for number, line in enumerate(lines, start=1) if code in line)


def test_a_function_judges_a_right_and_a_malformed_answer_to_a_sample_of_the_run():
    assert tried("shows_answers") == [f"reward shows_answers: {[RIGHT, MALFORMED]}"]
    one_by_one = tried("shows_answer", Signature.verl)
    assert one_by_one == [f"reward shows_answer: {answer}" for answer in (RIGHT, MALFORMED)]


def test_a_sample_without_a_right_answer_is_tried_with_malformed_ones():
    sample = Sample(id="s", images=(), question="", target=Target(label=""), category="", task=Task.choice)
    config = RewardConfig(functions=[FunctionConfig(path=f"{OF_USER}.shows_answers")])
    heard: list[str] = []
    try_functions(config, sample, heard.append)
    assert heard == [f"reward shows_answers: {[MALFORMED, MALFORMED]}"]


def test_an_exception_is_told_with_the_file_and_line_of_the_users_code():
    place = rf"{FILE.name}:{line_of('return float(len(text.split')}\)"
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


@pytest.mark.parametrize(
    ("name", "signature", "sentence"),
    [
        ("says_a_word", Signature.trl, "says_a_word gave 'good'; it must give a number or None for each completion"),
        ("gives_a_number", Signature.trl, r"gives_a_number gave 1\.0; it must give a list with a value for each"),
        ("gives_a_dict", Signature.verl, "gives_a_dict gave a dict without 'score'"),
        ("is_infinite", Signature.trl, "reward is_infinite gave inf on sample part/7; it must be a finite number"),
    ],
)
def test_what_is_no_finite_number_is_told(name: str, signature: Signature, sentence: str):
    with pytest.raises(ValueError, match=sentence):
        tried(name, signature)


def test_answers_that_stay_unjudged_are_a_warning():
    assert tried("is_shy") == [
        "warning: a malformed answer would be unjudged: reward is_shy returned None for this sample"
    ]


def test_a_function_that_hangs_is_a_warning_within_its_time():
    right, malformed = tried("hangs", timeout_s=0.1)
    sentence = "reward hangs on sample part/7: no answer in reward.timeout_s=0.1 s"
    assert right == f"warning: a right answer would be unjudged: {sentence}"
    assert malformed == f"warning: a malformed answer would be unjudged: {sentence}"


def test_a_function_that_may_raise_by_config_does_not_end_the_run():
    first, second = tried("splits", on_error=OnError.unjudged)
    assert first.startswith("warning: a right answer would be unjudged: reward splits raised IndexError")
    assert second.startswith("warning: a malformed answer")


def test_printed_lines_are_told_with_the_name_of_the_reward(capsys):
    heard = tried("talks")
    lines = ["two", "lines", "a bar 100 %", "no end"]
    assert heard == [f"reward talks: {line}" for line in lines]
    assert capsys.readouterr() == ("", "")


def test_what_a_library_or_a_child_process_prints_is_told_too():
    said = tried("talks_below_python")
    assert said == [f"reward talks_below_python: of a {who}" for who in ("library", "child")]


def test_without_a_listener_the_output_of_a_function_goes_where_it_went(capfd):
    composer = Composer(RewardConfig(functions=[FunctionConfig(path=f"{OF_USER}.talks")]))
    composer.score([item_of(SAMPLE)], read([item_of(SAMPLE)]))
    assert capfd.readouterr().out == "two\nlines\nno end"


def test_lines_before_an_exception_are_told():
    heard: list[str] = []
    config = RewardConfig(functions=[FunctionConfig(path=f"{OF_USER}.talks_then_fails")])
    with pytest.raises(ValueError, match="KeyError"):
        try_functions(config, SAMPLE, heard.append)
    assert heard == ["reward talks_then_fails: about to fail"]
