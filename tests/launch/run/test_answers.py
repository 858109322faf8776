"""Held-out answers on disk: what is read back is all that a report looks at."""

import json
from dataclasses import replace
from pathlib import Path

from builders.groups_with_looks import look, looked
from builders.scored_groups import NO, YES, completion, group, score
from launch.run.answers import answers_file, read_answers, write_answers
from rl.evaluation.metrics import evaluation_metrics
from rl.types import Group, Score

BOX = ((2.0, 2.5, 6.0, 6.0),)


def greedy() -> list[Group]:
    """An answer to each sample: right, cut off, and not to be judged."""
    unjudged = Score(total=None, components={"format": 1.0, "box": None}, malformed=("no box", "ünclear"))
    return [
        group([score(box=0.5)], [completion(YES)], boxes=BOX, number=1, images=(Path("a.png"), Path("b.png"))),
        group([score(0, 0, 0)], [completion("<think>\n\u2028 \U0001f600 hm")], number=2),
        group([unjudged], [completion(NO)], number=3),
    ]


def read_back(folder: Path, groups: list[Group]) -> list[Group]:
    path = answers_file(folder, "heldout", 0)
    write_answers(path, groups)
    return read_answers(path, [each.prompt.sample for each in groups])


def test_answers_have_a_file_for_each_benchmark_and_step(tmp_path):
    assert answers_file(tmp_path, "heldout", 20) == tmp_path / "samples/heldout_step_20.jsonl"


def test_the_sample_the_truth_the_words_and_the_scores_come_back(tmp_path):
    for before, after in zip(greedy(), read_back(tmp_path, greedy()), strict=True):
        assert after.prompt.sample == before.prompt.sample
        assert after.prompt.target == before.prompt.target
        assert after.prompt.image_size == before.prompt.image_size
        assert after.completions[0].text == before.completions[0].text
        assert after.scores == before.scores


def test_the_metrics_of_what_comes_back_are_the_same(tmp_path):
    judged = greedy()[:2]
    assert evaluation_metrics(read_back(tmp_path, judged)) == evaluation_metrics(judged)


def test_every_line_is_one_answer_with_its_id(tmp_path):
    read_back(tmp_path, greedy())
    lines = answers_file(tmp_path, "heldout", 0).read_text(encoding="utf-8").split("\n")[:-1]
    assert [json.loads(line)["id"] for line in lines] == [each.prompt.sample.id for each in greedy()]


def test_a_line_tells_how_far_the_looks_agree_where_there_are_looks(tmp_path):
    first, *others = greedy()
    path = answers_file(tmp_path, "heldout", 0)
    write_answers(path, [looked(first, look(0.25)), *others])
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n")[:-1]]
    assert lines[0]["agreement"] == 0.25
    assert not any("agreement" in line for line in lines[1:])
    assert read_answers(path, [each.prompt.sample for each in greedy()])[0].scores == first.scores


def test_answers_are_those_to_the_given_samples_or_none(tmp_path):
    first, second, _ = greedy()
    path = answers_file(tmp_path, "heldout", 0)
    write_answers(path, [first, second])
    changed = replace(first.prompt.sample, question="Another question?")
    kept = read_answers(path, [changed, second.prompt.sample])
    assert [each.prompt.sample.question for each in kept] == ["Another question?", "Any defect?"]
    assert read_answers(path, [changed]) == []
    assert read_answers(path, [each.prompt.sample for each in greedy()]) == []
