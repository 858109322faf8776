import json
from dataclasses import replace
from pathlib import Path

import pytest

from builders.token_groups import bare_prompt
from rl.data.lessons import Lesson, check_spans, lesson_group, own_lesson, read_lessons, with_lessons
from rl.types import Origin, Sample, Target, Task


class Letters:
    """Encode a text, a token for each letter."""

    def encode_answer(self, text):
        return (*map(ord, text), 0)

    def pieces(self, token_ids):
        return [chr(token) if token else "" for token in token_ids]


def written(folder: Path, *lines: object) -> Path:
    path = folder / "lessons.jsonl"
    path.write_text("".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines))
    return path


def sample(name: str) -> Sample:
    return Sample(id=name, images=(), question="", target=Target(label="normal", rationale="Even."), category="c")


def test_lessons_are_read_by_their_samples_and_other_fields_pass(tmp_path):
    path = written(tmp_path, {"id": "a", "chosen": "x", "rejected": "y", "p_right": 0.3}, {"id": "b", "chosen": "z"})
    assert read_lessons(path, with_rejected=False) == {"a": Lesson(chosen="x"), "b": Lesson(chosen="z")}


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([{"id": "a", "chosen": "x"}], "lessons.jsonl: line 1 has no text 'rejected'"),
        ([{"id": "a", "chosen": "", "rejected": "y"}], "lessons.jsonl: line 1 has no text 'chosen'"),
        ([{"id": "a", "chosen": "x", "rejected": "y"}] * 2, "lessons.jsonl: line 2 is a second lesson of sample a"),
        ([{"id": "a", "chosen": "x", "rejected": "x"}], "lessons.jsonl: line 1 has the same text as chosen and"),
        (['{"id": "a", "chosen": "\\ud800", "rejected": "x"}'], "lessons.jsonl: line 1 holds a lone surrogate"),
        (["{"], "lessons.jsonl: line 1 is not JSON"),
        (["1" * 4301], "lessons.jsonl: line 1 holds a number that is too large"),
        (["[" * 100_000], "lessons.jsonl: line 1 nests more than 64 levels"),
        (["[1]"], "lessons.jsonl: line 1 is no object"),
        ([], "the file holds no lesson"),
    ],
)
def test_a_bad_line_is_named(tmp_path, lines, said):
    with pytest.raises(ValueError, match=said):
        read_lessons(written(tmp_path, *lines), with_rejected=True)


def test_line_ends_within_a_text_and_blank_lines_cut_no_lesson(tmp_path):
    path = tmp_path / "lessons.jsonl"
    path.write_text('{"id": "a", "chosen": "x\u2028y"}\n\n', encoding="utf-8")
    assert read_lessons(path, with_rejected=False) == {"a": Lesson(chosen="x\u2028y")}


STATED = "<knowledge>A</knowledge><answer>B</answer>"


def test_a_loss_over_spans_needs_lessons_that_begin_with_knowledge():
    check_spans({"a": Lesson(chosen=STATED, rejected=STATED)})
    for lesson in (Lesson(chosen="B"), Lesson(chosen=STATED, rejected="B"), Lesson(chosen="Hm. " + STATED)):
        with pytest.raises(ValueError, match="sample a: its .* text does not begin with <knowledge>"):
            check_spans({"a": lesson})


def test_a_sample_without_a_rationale_cannot_teach_its_right_answer():
    with pytest.raises(ValueError, match="sample a: it has no reasoning to teach"):
        own_lesson(replace(sample("a"), target=Target(label="normal")))


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ValueError, match="none.jsonl: the file cannot be read .No such file"):
        read_lessons(tmp_path / "none.jsonl", with_rejected=False)


def test_training_sees_the_samples_that_have_a_lesson():
    found = with_lessons([sample("a"), sample("b")], [sample("c")], {"b": Lesson(chosen="x")}, Path("f"))
    assert [each.id for each in found] == ["b"]


@pytest.mark.parametrize(("name", "said"), [("c", "c is held out for evaluation"), ("d", "d is not in data.root")])
def test_a_lesson_of_a_sample_that_training_must_not_see_is_refused(name, said):
    with pytest.raises(ValueError, match=said):
        with_lessons([sample("a")], [sample("c")], {name: Lesson(chosen="x")}, Path("f"))


def test_a_pair_is_a_group_of_the_better_and_the_worse_answer():
    text = "<knowledge>A</knowledge><think>t</think>"
    group = lesson_group(bare_prompt([1, 2]), Lesson(chosen=text, rejected="none"), Letters())
    assert group.advantages == (1.0, -1.0)
    assert [answer.text for answer in group.completions] == [text, "none"]
    assert {answer.origin for answer in group.completions} == {Origin.reference_text}
    # Of the first the knowledge with its tags, of the second nothing.
    assert [answer.knowledge for answer in group.completions] == [(0, len("<knowledge>A</knowledge>")), (0, 0)]


def test_without_a_lesson_the_right_answer_is_taught_in_the_pixels_that_the_model_sees():
    prompt = bare_prompt([1])
    seen = Target(label="defective", boxes=((0, 0, 5, 5),), box_labels=("hole",), rationale="A hole.")
    (answer,) = lesson_group(replace(prompt, target=seen), None, Letters()).completions
    assert answer.text == "<think>A hole.</think><answer>Yes. {'bbox_2d': [0, 0, 5, 5], 'label': 'hole'}</answer>"


def test_a_sample_without_a_right_answer_is_named():
    with pytest.raises(ValueError, match="sample a: its right answer cannot be made"):
        own_lesson(replace(sample("a"), task=Task.choice))
