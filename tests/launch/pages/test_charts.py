import re
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launch.pages.charts import MAX_POINTS, Chart, Series, draw, nice_ticks, running_mean


def chart(*series: Series, **options: Any) -> Chart:
    return Chart(title="Loss <b>", caption="What & why.", series=series, **options)


def line(*values: float, name: str = "loss") -> Series:
    return Series(name=name, points=tuple(enumerate(values)))


def parsed(drawn: str) -> ElementTree.Element:
    return ElementTree.fromstring(drawn)


def path_of(drawn: str, css: str) -> list[tuple[float, float]]:
    (path,) = [one for one in parsed(drawn).iter("path") if one.get("class") == css]
    pairs = re.findall(r"(-?[\d.]+) (-?[\d.]+)", path.get("d", ""))
    return [(float(x), float(y)) for x, y in pairs]


def test_a_line_runs_from_the_first_to_the_last_step_on_the_axis() -> None:
    assert path_of(draw(chart(line(0, 4, 2))), "line s0") == [(0, 100), (50, 0), (100, 50)]


def test_a_stack_adds_up_and_starts_at_zero() -> None:
    upper = Series(name="update", points=((0, 3.0), (1, 3.0)), color=1)
    drawn = draw(chart(line(1, 1, name="rollout"), upper, stacked=True))
    assert path_of(drawn, "area s0")[:2] == [(0, 75), (100, 75)]
    assert path_of(drawn, "area s1")[:2] == [(0, 0), (100, 0)]


def test_a_logarithmic_axis_is_even_in_powers_of_ten_and_skips_zero() -> None:
    points = path_of(draw(chart(line(0, 1e-7, 1e-6, 1e-5), log=True, smooth=False)), "line s0")
    assert [y for _, y in points] == pytest.approx([100, 50, 0])


def test_the_tooltip_of_a_step_has_all_its_values() -> None:
    titles = [title.text for title in parsed(draw(chart(line(1, 2), line(3, 4, name="kl")))).iter("title")]
    assert titles == ["step 0\nloss: 1\nkl: 3", "step 1\nloss: 2\nkl: 4"]


def test_words_are_escaped_and_values_that_are_not_numbers_are_skipped() -> None:
    drawn = draw(chart(line(1, float("nan"), 3)))
    assert parsed(drawn).findtext(".//h3") == "Loss <b>"
    assert len(path_of(drawn, "line s0")) == 2


def test_dots_are_drawn_at_their_values_beside_the_line() -> None:
    few = Series(name="held-out", points=((0, 4.0), (2, 0.0)), color=1, dots=True)
    drawn = draw(chart(few, line(0, 4, 2)))
    assert path_of(drawn, "dots s1") == [(0, 0), (100, 100)]
    assert path_of(drawn, "line s0") == [(0, 100), (50, 0), (100, 50)]
    assert '<i class="s1 round">' in drawn


def test_a_level_is_a_named_horizontal_line_within_the_axis() -> None:
    drawn = draw(chart(line(0, 1, 2), levels={"δ1 = 4": 4.0}))
    (across,) = [one.get("d") for one in parsed(drawn).iter("path") if one.get("class") == "level"]
    assert across == "M0 0.00H100"
    assert [span.text for span in parsed(drawn).iter("span") if span.get("class") == "level"] == ["δ1 = 4"]
    assert draw(chart(line(), levels={"δ1 = 4": 4.0})) == ""


def test_nothing_is_drawn_without_values() -> None:
    assert draw(chart(line())) == ""
    assert draw(chart(line(float("nan")))) == ""


def test_one_point_is_drawn() -> None:
    assert len(path_of(draw(chart(line(2))), "line s0")) == 2


def test_long_curves_are_thinned_and_smoothed() -> None:
    drawn = draw(chart(line(*range(10 * MAX_POINTS))))
    assert len(path_of(drawn, "raw s0")) == MAX_POINTS
    assert len(path_of(drawn, "line s0")) == MAX_POINTS


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_ticks_span_the_values_with_few_round_numbers(first: float, second: float) -> None:
    low, high = sorted((first, second))
    ticks = nice_ticks(low, high)
    slack = 1e-6 * max(1, abs(low), abs(high))
    assert ticks[0] <= low + slack
    assert high - slack <= ticks[-1]
    assert 2 <= len(ticks) <= 9


def test_a_flat_zero_lies_on_the_bottom_of_an_axis_without_negative_values() -> None:
    drawn = draw(chart(line(0, 0, 0)))
    assert [y for _, y in path_of(drawn, "line s0")] == [100, 100, 100]
    assert [span.text for span in parsed(drawn).iter("span") if span.get("class") == "tick"][0] == "0"


def test_the_axis_of_a_flat_curve_includes_zero() -> None:
    assert nice_ticks(0, 0)[0] == 0 and nice_ticks(0, 0)[-1] == 1
    assert nice_ticks(1, 1) == (0, 0.2, 0.4, 0.6, 0.8, 1)
    assert nice_ticks(-2, -2)[-1] == 0 and nice_ticks(-2, -2)[0] == -2


def test_a_running_mean_keeps_a_straight_line() -> None:
    points = tuple((step, 2.0 * step) for step in range(24))
    assert running_mean(points)[2:-2] == points[2:-2]
