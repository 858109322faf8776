"""Careful annotators tell the truth; busy ones err in the shares that they are given."""

import re

import numpy as np
import pytest

from rl.data.demo.annotators import EDGE_STEP, Annotators
from rl.data.demo.synthesis import COLUMNS, CONTRASTS, DEFECTS, ROWS, SIZE, make_part
from rl.data.grid import cells_of_mask, cells_text
from rl.types import Task

FORM = r"<think>.+\.</think><answer>(No\.|Yes\. \{'bbox_2d': \[\d+, \d+, \d+, \d+\], 'label': '\w+'\})</answer>"


def answers(annotators: Annotators, defect: str | None, contrast: float = 0.3, count: int = 300) -> list[str]:
    rng = np.random.default_rng(0)
    part = make_part(rng, "metal", defect, (contrast, contrast))
    return [annotators.answer(rng, part) for _ in range(count)]


OPTIONS = {"A": "scratch", "B": "hole", "C": "No defect", "D": "stain"}


def choices(annotators: Annotators, defect: str | None, task: Task = Task.choice, count: int = 300) -> list[str]:
    rng = np.random.default_rng(0)
    part = make_part(rng, "metal", defect, (0.3, 0.3))
    return [annotators.choose(rng, part, OPTIONS, task) for _ in range(count)]


def share(texts: list[str], pattern: str) -> float:
    return float(np.mean([bool(re.search(pattern, text)) for text in texts]))


def test_careful_annotators_tell_the_truth_up_to_their_grid():
    rng = np.random.default_rng(1)
    for defect in ("scratch", "hole", "stain"):
        part = make_part(rng, "wood", defect, CONTRASTS)
        text = Annotators().answer(rng, part)
        assert re.fullmatch(FORM, text) and f"'label': '{defect}'" in text
        said = [int(edge) for edge in re.findall(r"\d+", text.partition("bbox_2d': [")[2])]
        assert all(edge % EDGE_STEP == 0 for edge in said)
        assert np.abs(np.array(said) - np.array(part.box)).max() <= EDGE_STEP / 2
    assert set(answers(Annotators(), None)) == {"<think>No difference.</think><answer>No.</answer>"}


@pytest.mark.parametrize(("contrast", "found"), [(CONTRASTS[0], 0.2), (sum(CONTRASTS) / 2, 0.5), (CONTRASTS[1], 0.8)])
def test_the_fainter_a_defect_the_more_often_it_is_missed(contrast, found):
    texts = answers(Annotators(faintest_found=0.2, strongest_found=0.8), "hole", contrast)
    assert share(texts, "Yes") == pytest.approx(found, abs=0.08)
    assert all(re.fullmatch(FORM, text) for text in texts)


def test_false_alarms_have_boxes_of_their_own():
    texts = answers(Annotators(false_alarms=0.3), None)
    assert share(texts, "Yes") == pytest.approx(0.3, abs=0.08)
    assert len({text for text in texts if "Yes" in text}) > 50
    assert all(re.fullmatch(FORM, text) for text in texts)


def test_loose_boxes_vary_and_stay_within_the_image():
    boxes = {re.search(r"\[.*\]", text)[0] for text in answers(Annotators(looseness=12.0), "stain")}
    corners = np.array([[int(edge) for edge in re.findall(r"\d+", box)] for box in boxes])
    assert len(boxes) > 100 and corners.min() >= 0 and corners[:, :2].max() < SIZE
    assert (corners[:, 2:] - corners[:, :2]).min() >= EDGE_STEP


def test_a_lapse_leaves_the_box_out():
    texts = answers(Annotators(lapses=0.25), "hole")
    assert share(texts, r"<answer>Yes\.</answer>$") == pytest.approx(0.25, abs=0.08)


def test_careful_annotators_choose_what_they_see():
    rng = np.random.default_rng(2)
    part = make_part(rng, "wood", "hole", CONTRASTS)
    text = Annotators().choose(rng, part, OPTIONS, Task.grid)
    assert text.startswith(f"<seg>{cells_text(cells_of_mask(part.mask))}</seg><think>A hole at the ")
    assert text.endswith(" The answer is B.</think><answer>B</answer>")
    fine = "<think>No difference. The answer is C.</think><answer>C</answer>"
    assert set(choices(Annotators(), None)) == {fine}
    assert set(choices(Annotators(), None, Task.grid)) == {f"<seg></seg>{fine}"}


def test_a_missed_defect_has_neither_option_nor_cells():
    texts = choices(Annotators(faintest_found=0.5, strongest_found=0.5), "stain", Task.grid)
    missed = "<seg></seg><think>No difference. The answer is C.</think><answer>C</answer>"
    assert share(texts, re.escape(missed)) == pytest.approx(0.5, abs=0.08)
    assert all(text == missed or text.endswith("<answer>D</answer>") for text in texts)


def test_a_slip_answers_another_option_than_the_reasoning():
    texts = choices(Annotators(slips=0.3), "hole")
    assert share(texts, r"The answer is B\.</think><answer>[ACD]<") == pytest.approx(0.3, abs=0.08)
    assert all("The answer is B." in text for text in texts)


def test_lapses_leave_the_conclusion_out_and_haste_puts_it_first():
    texts = choices(Annotators(lapses=0.2, haste=0.3), "hole")
    assert share(texts, r"<think>A hole at [a-z ]+\.</think>") == pytest.approx(0.2, abs=0.08)
    assert share(texts, r"<think>The answer is B\. A hole at [a-z ]+\.</think>") == pytest.approx(0.3, abs=0.08)


def test_loose_cells_vary_and_stay_on_the_grid():
    texts = choices(Annotators(looseness=9.0), "hole", Task.grid)
    numbers = [int(number) for text in texts for number in re.findall(r"\d+", text)]
    assert len(set(texts)) > 50 and 0 <= min(numbers) <= max(numbers) <= 15


def test_reports_on_one_image_call_only_places_even_that_are_so():
    rng, order, thirds = np.random.default_rng(0), [], np.arange(SIZE) * 3 // SIZE
    for defect in (*DEFECTS * 20, None):
        part = make_part(rng, "metal", defect, CONTRASTS)
        text = Annotators().answer(rng, part, Task.yes_no)
        named = re.search(r"Even at the ([\w ,]+)\.", text).group(1).split(", ")
        assert len(set(named)) == 3
        for row, column in (place.split() for place in named):
            there = (thirds == ROWS.index(row))[:, None] & (thirds == COLUMNS.index(column))
            assert not (part.mask & there).any()
        order.append(text.startswith("<think>Even"))
    assert 0.3 < np.mean(order) < 0.7
