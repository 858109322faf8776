"""The section about held-out samples: kinds of defects with intervals, and what was taken for what."""

import re
from collections.abc import Mapping
from dataclasses import replace

from builders.scored_groups import NO, YES, completion, group, score
from launch.pages.held_out import held_out_section
from rewards.answers.parse import parse_answer
from rl.evaluation.metrics import Evaluation
from rl.types import Group, Score, Task

BOX = ((2.0, 2.0, 6.0, 6.0),)
UNREADABLE = "<think>Hm.</think><answer>Perhaps.</answer>"


def asked(text: str, right: float, kind: str = "", **truth) -> Group:
    """Make a group about a part with a defect of this kind, or about a normal part, with its answer."""
    made = group([score(1, right, right)], [completion(text)], boxes=BOX if kind else ())
    target = replace(made.prompt.target, kind=kind, **truth)
    sample = replace(made.prompt.sample, target=target)
    return replace(made, prompt=replace(made.prompt, sample=sample, target=target))


def section(before: list[Group], after: list[Group]) -> str:
    first = Evaluation(step=0, groups=tuple(before)) if before else None
    return held_out_section(first, Evaluation(step=12, groups=tuple(after)), parse_answer)


def words(drawn: str) -> str:
    return re.sub("<.*?>", "|", drawn)


def rows_of(drawn: str, title: str) -> list[list[str]]:
    """Return the cells of the body of the table below a title."""
    body = drawn.split(f"<h3>{title}</h3>")[1].split("<tbody>")[1].split("</tbody>")[0]
    return [re.findall(r"<t[hd].*?>(.*?)</t[hd]>", row) for row in body.split("</tr>")[:-1]]


def test_each_kind_of_defect_has_its_accuracy_with_an_interval_and_normal_comes_last() -> None:
    before = [asked(NO, 0, "scratch"), asked(NO, 0, "scratch"), asked(NO, 1)]
    after = [asked(YES, 1, "scratch"), asked(NO, 0, "scratch"), asked(NO, 1), asked(YES, 1, "<hole>")]
    drawn = section(before, after)
    kinds = rows_of(drawn, "Accuracy by kind of defect")
    assert [row[0] for row in kinds] == ["&lt;hole&gt;", "scratch", "normal"]
    # Wilson's 95 % interval of one right answer of two is 0.095 to 0.905.
    assert kinds[1][1] == "2" and kinds[1][2].startswith("<b>0.50</b> <span>0.09–0.91</span><small>0.00</small>")
    assert "<small>" not in kinds[0][2]


def test_the_matrix_counts_verdicts_by_the_truth_and_shows_the_first_evaluation_in_grey() -> None:
    before = [asked(NO, 0, "hole"), asked(NO, 0, "hole"), asked(NO, 1)]
    after = [asked(YES, 1, "hole"), asked(UNREADABLE, 0, "hole"), asked(NO, 1)]
    drawn = section(before, after)
    assert "defective|normal|unreadable" in re.sub(r"\|+", "|", words(drawn))
    assert rows_of(drawn, "Truth and verdict") == [
        ["defective", "1<small>0</small>", "0<small>2</small>", "1<small>0</small>"],
        ["normal", "0<small>0</small>", "1<small>1</small>", "0<small>0</small>"],
    ]
    assert drawn.count('<td class="right"') == 2


def choice(said: str, right: str, options: Mapping[str, str]) -> Group:
    made = asked(f"<think>Hm.</think><answer>{said}</answer>", 0, "hole", option=right, options=options)
    sample = replace(made.prompt.sample, task=Task.choice)
    scored = (Score(total=1.0, components={"choice": float(said == right)}),)
    return replace(made, prompt=replace(made.prompt, sample=sample), scores=scored)


def test_options_are_compared_by_their_texts_since_their_letters_change() -> None:
    after = [
        choice("A", "A", {"A": "hole", "B": "cut"}),
        choice("A", "B", {"A": "cut", "B": "hole"}),
        choice("C", "A", {"A": "cut", "B": "hole"}),
    ]
    assert rows_of(section([], after), "Truth and option") == [["cut", "0", "0", "1"], ["hole", "1", "1", "0"]]


def test_options_that_are_new_with_every_question_have_no_matrix() -> None:
    after = [choice("A", "A", {"A": f"The part {number} is bent.", "B": "No defect"}) for number in range(20)]
    assert "Truth and option" not in section([], after)


def test_answers_that_nothing_judges_have_no_accuracy_by_kind() -> None:
    unjudged = replace(asked(YES, 1, "hole"), scores=(Score(total=1.0, components={"iad_r1": 1.0}),))
    assert "Accuracy by kind" not in section([], [unjudged])


def test_a_column_that_no_answer_has_is_left_out() -> None:
    drawn = section([], [asked(YES, 1, "hole")])
    assert "<th>Accuracy</th>" in drawn and "Right knowledge" not in drawn


def test_without_an_evaluation_there_is_no_section() -> None:
    assert held_out_section(None, None, parse_answer) == ""
