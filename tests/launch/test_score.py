"""`assay score` as a user types it."""

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest

from launch.__main__ import assay

RIGHT = "<think>Even.</think><answer>No.</answer>"
LINE = {"id": "a", "completion": RIGHT, "target": {"label": "normal"}}


def write(folder: Path, *lines: Any) -> Path:
    path = folder / "answers.jsonl"
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return path


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_answers_become_scores_in_their_order(tmp_path: Path, capsys):
    wrong = {"id": "b", "completion": "Yes", "target": {"label": "defective", "boxes": [[0, 0, 4, 4]]}}
    answers, scores = write(tmp_path, LINE, "", wrong), tmp_path / "made/scores.jsonl"

    assert assay(["score", "reward=mmr_ad", f"input={answers}", f"output={scores}"]) == 0

    first, second = read(scores)
    assert (first["id"], first["total"]) == ("a", 1.0)
    assert first["components"] == {"format": 1.0, "accuracy": 1.0, "box_penalty": 0.0}
    assert first["parse"]["verdict"] == "normal" and first["malformed"] == []
    assert (second["id"], second["total"]) == ("b", -0.2) and second["malformed"]
    summary = json.loads(capsys.readouterr().out)
    assert (summary["scored"], summary["bad_lines"], summary["malformed"]) == (2, 0, 1)
    assert summary["total"] == pytest.approx(0.4)


def test_what_a_function_prints_does_not_mix_with_the_scores(tmp_path: Path, capsys):
    function = "reward.functions=[{path: builders.talking_reward.talks, weight: 0}]"
    assert assay(["score", "reward=mmr_ad", function, f"input={write(tmp_path, LINE)}"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["components"]["talks"] == 1.0
    assert err.startswith("reward talks: 1 answers to a\n")


def test_the_knowledge_that_an_answer_names_is_measured(tmp_path: Path, capsys):
    said = "<knowledge>Hole: round.</knowledge><think>A line.</think><answer>B</answer>"
    target = {"option": "B", "options": {"A": "hole", "B": "scratch"}, "offered": ["Scratch", "Hole"]}
    right = {"id": "b", "completion": said.replace("Hole: round", "Scratch: thin"), "target": target}
    unknown = {"id": "c", "completion": said, "target": target | {"offered": []}}
    answers, scores = write(tmp_path, right, right | {"completion": said}, unknown), tmp_path / "scores.jsonl"
    assert assay(["score", "reward=dcr2ad", f"input={answers}", f"output={scores}"]) == 0
    assert [score["total"] for score in read(scores)] == [2.0, 2.0, 2.0]
    assert [score["components"]["knowledge"] for score in read(scores)] == [1.0, 0.0, None]
    assert read(scores)[1]["parse"]["knowledge"] == "Hole: round."
    assert json.loads(capsys.readouterr().out)["components"]["knowledge"] == 0.5


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("{", "line 2: the line is not JSON"),
        ("[]", "line 2: the line is not a JSON object"),
        ('{"id": 1, "id": 2}', "line 2: the line has the key 'id' a second time"),
        ('{"agreement": NaN}', "line 2: the line holds NaN"),
        (LINE | {"num_tokens": "7"}, "line 2: num_tokens must be a whole number"),
        (LINE | {"image_size": [10**300, 1]}, r"line 2: image_size must be \[width, height\]"),
        (LINE | {"target": {"a\nb": 1}}, "line 2: target has no field 'a b'"),
        (" " * 2**22 + "{}", "line 2: the line is longer than 4 MiB"),
        ({"id": "b", "target": {}}, "line 2: the answer has no completion"),
        (LINE | {"completion": 3}, "line 2: completion must be text"),
        (LINE | {"target": {"label": "good"}}, "line 2: target.label must be"),
        (
            LINE | {"target": {"lable": "normal"}},
            "line 2: target has no field 'lable'; its fields are label, kind",
        ),
        (LINE | {"task": "poetry"}, "line 2: task 'poetry' is not one of yes_no, boxes"),
        (LINE | {"image_size": [0, 4]}, r"line 2: image_size must be \[width, height\]"),
        (LINE | {"agreement": 1.5}, "line 2: agreement must be a number in"),
    ],
)
def test_a_bad_line_is_reported_by_number_and_the_others_are_scored(line, sentence, tmp_path: Path, capsys):
    answers, scores = write(tmp_path, LINE, line, LINE), tmp_path / "scores.jsonl"
    assert assay(["score", f"input={answers}", f"output={scores}"]) == 1
    assert [score["total"] for score in read(scores)] == [3.0, 3.0]
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert re.search(sentence, err), err


def test_an_answer_that_cannot_be_judged_is_null_with_the_reason(tmp_path: Path):
    answers, scores = write(tmp_path, LINE | {"target": {"label": "defective"}}, LINE), tmp_path / "scores.jsonl"
    assert assay(["score", f"input={answers}", f"output={scores}"]) == 1
    first, second = read(scores)
    assert first["total"] is None and first["components"]["box"] is None
    assert first["unjudged"] == ["reward box has nothing to judge by in this sample; it needs target.boxes"]
    assert second["total"] == 3.0


@pytest.mark.parametrize(("name", "num_faults"), [("refuses", 1), ("has_no_opinion", 0)])
def test_a_function_that_refuses_an_answer_is_at_fault_and_one_without_an_opinion_is_not(
    name, num_faults, tmp_path: Path, capsys
):
    function = f"reward.functions=[{{path: builders.user_rewards.{name}, weight: 0}}]"
    output = f"output={tmp_path / 'scores.jsonl'}"
    code = assay(["score", "reward=mmr_ad", function, f"input={write(tmp_path, LINE)}", output])
    summary = json.loads(capsys.readouterr().out)
    assert (summary["faults"], summary["unjudged"], code) == (num_faults, 0, num_faults)


def test_standard_input_and_output_and_an_explanation(monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(LINE) + "\n"))
    assert assay(["score", "reward=yes_no", "input=-", "explain=true"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["total"] == 2.0
    assert "a: total 2" in err and "accuracy      1" in err and "read think: Even." in err


def test_bytes_that_are_no_text_make_one_line_a_bad_one_on_standard_input_too(monkeypatch, capsys):
    lines = b"\xe4\n" + json.dumps(LINE).encode() + b"\n"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(lines), encoding="utf-8"))
    assert assay(["score", "reward=yes_no", "input=-"]) == 1
    out, err = capsys.readouterr()
    assert json.loads(out)["total"] == 2.0
    assert "- line 1: the line is not UTF-8 (byte 0xe4)" in err


@pytest.mark.parametrize(
    ("reward", "completion", "target", "total"),
    [
        ("roam", "<think>So B.</think><answer>B</answer>", {"option": "B"}, 1.0),
        ("roam_released", "<think>So B.</think><answer>B</answer>", {"option": "B"}, 2.0),
        (
            "judo",
            "<seg>(1,1), (1,2)</seg><think>The dark mark is a scratch. So B.</think><answer>B</answer>",
            {"option": "B", "cells": [[1, 2], [1, 3]], "rationale": "The dark mark is a scratch. So B."},
            4.6,
        ),
    ],
)
def test_answers_have_the_form_of_the_rewards_paper(reward, completion, target, total, tmp_path: Path):
    line = {"id": "a", "completion": completion, "target": target}
    answers, scores = write(tmp_path, line), tmp_path / "scores.jsonl"
    assert assay(["score", f"reward={reward}", f"input={answers}", f"output={scores}"]) == 0
    (score,) = read(scores)
    assert score["total"] == pytest.approx(total, abs=1e-5)


def test_the_consistency_reward_judges_the_agreement_of_a_line(tmp_path: Path):
    line = {"id": "a", "completion": "<think>.</think><answer>Yes.</answer>", "target": {"label": "defective"}}
    answers, scores = write(tmp_path, line | {"agreement": 0.4}, line), tmp_path / "scores.jsonl"
    assert assay(["score", "reward=cgro", f"input={answers}", f"output={scores}"]) == 1
    assert [score["components"]["consistency"] for score in read(scores)] == [1.0, None]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "give input=FILE, e.g. assay score reward=roam input=answers.jsonl"),
        (["input=nowhere.jsonl"], "there is no file 'nowhere.jsonl'"),
        (["input=-", "reward.box.weight=null", "reward.format.weight=0", "reward.accuracy.weight=0"], "all 0 or null"),
        (["input=-", "reward=room"], "did you mean reward=roam"),
        (["input=-", "reward.box.weight=much"], "reward.box.weight must be a number or null; got much"),
        (["input=-", "reward.functions=[{path: nowhere.at_all}]"], "cannot import nowhere.at_all"),
    ],
)
def test_wrong_use_is_one_sentence(arguments, sentence, capsys):
    assert assay(["score", *arguments]) != 0
    err = capsys.readouterr().err
    assert sentence in err and err.count("\n") == 1
