import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from rl.evaluation.heat import EVEN, MAX_ALPHA, RAMP, RESIZES, colored, overlay, resized, scale_bar

TOP = 4.0


def luminance(rgb: np.ndarray) -> np.ndarray:
    """Return the relative luminance (WCAG) of sRGB bytes [..., 3]."""
    share = rgb / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    return linear @ np.array([0.2126, 0.7152, 0.0722])


def color_of(value: float, top: float = TOP) -> list[int]:
    return colored(np.array([[value]]), top)[0, 0].tolist()


@pytest.mark.parametrize("resize", RESIZES)
@pytest.mark.parametrize("value", [1e-20, 0.37, 1e6])
def test_a_constant_map_stays_constant(resize: str, value: float) -> None:
    large = resized(np.full((3, 4), value, np.float32), (33, 20), resize)
    assert (large.shape, large.dtype) == ((20, 33), np.float32)
    assert large == pytest.approx(np.full((20, 33), value), rel=1e-5)


@pytest.mark.parametrize("resize", RESIZES)
@pytest.mark.parametrize("row,column", [(0, 0), (1, 3), (2, 1), (3, 4)])
def test_a_peak_stays_in_its_place(resize: str, row: int, column: int) -> None:
    heat = np.zeros((4, 5), np.float32)
    heat[row, column] = 1
    large = resized(heat, (5 * 9, 4 * 9), resize)
    peak_row, peak_column = np.unravel_index(np.argmax(large), large.shape)
    assert (peak_row // 9, peak_column // 9) == (row, column)


@pytest.mark.parametrize("resize", RESIZES)
def test_a_peak_away_from_the_edges_keeps_its_centre_of_mass(resize: str) -> None:
    heat = np.zeros((7, 8), np.float32)
    heat[3, 4] = 1
    large = resized(heat, (8 * 9, 7 * 9), resize)
    rows, columns = np.mgrid[: 7 * 9, : 8 * 9]
    assert np.average(rows, weights=large) == pytest.approx(3 * 9 + 4, abs=1e-3)
    assert np.average(columns, weights=large) == pytest.approx(4 * 9 + 4, abs=1e-3)


def test_bilinear_samples_at_pixel_centres() -> None:
    # Centres of 4 pixels over 2: 0.25 and 0.75 between the two values, the outer ones beyond them.
    assert resized(np.array([[0, 4]], np.float32), (4, 1), "bilinear").tolist() == [[0, 1, 3, 4]]


def test_nearest_makes_blocks() -> None:
    heat = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert np.array_equal(resized(heat, (9, 6), "nearest"), np.kron(heat, np.ones((3, 3))))


def test_no_map_goes_below_zero_however_sharp_its_peak() -> None:
    heat = np.zeros((5, 5), np.float32)
    heat[2, 2] = 1
    assert resized(heat, (50, 50), "bicubic").min() == 0


def test_an_unknown_resize_is_refused_with_the_known_ones() -> None:
    with pytest.raises(RuntimeError, match="bilinear, nearest, bicubic; got 'lanczos'"):
        resized(np.zeros((2, 2), np.float32), (4, 4), "lanczos")


@given(st.floats(0, 2 * TOP), st.lists(st.floats(0, 1e6), min_size=3, max_size=3))
def test_a_value_has_its_colour_whatever_else_is_in_the_map(value: float, others: list[float]) -> None:
    heat = np.array([[value, others[0]], [others[1], others[2]]])
    assert colored(heat, TOP)[0, 0].tolist() == color_of(value)


def test_the_scale_runs_from_transparent_to_the_ramps_end() -> None:
    assert color_of(0)[3] == color_of(EVEN)[3] == 0 < color_of(1.1)[3]
    middle = (EVEN + TOP) / 2
    end = [*bytes.fromhex(RAMP[-1][1:]), round(255 * MAX_ALPHA)]
    assert color_of(TOP) == color_of(TOP + 1) == color_of(1e9) == end
    assert color_of(middle)[:3] == list(bytes.fromhex(RAMP[3][1:]))
    assert color_of(middle) == color_of(10.5, top=20)


def test_more_is_brighter_and_less_transparent_in_even_steps() -> None:
    colors = colored(np.linspace(EVEN, TOP, 101)[None], TOP)[0].astype(float)
    lightness = np.cbrt(luminance(colors[:, :3]))
    steps = np.diff(lightness)
    assert np.all(steps > 0)
    assert steps.max() < 2.5 * np.mean(steps)
    assert np.all(np.diff(colors[:, 3]) > 0)


@pytest.mark.parametrize("top", [1, -1, float("nan")])
def test_a_scale_without_a_top_is_refused(top: float) -> None:
    with pytest.raises(RuntimeError, match="must be above 1"):
        colored(np.zeros((2, 2)), top)


def test_an_overlay_changes_the_image_where_there_is_heat_and_only_there() -> None:
    image = Image.new("RGB", (6, 4), (10, 120, 90))
    heat = np.zeros((4, 6), np.float32)
    heat[1, 4] = TOP
    shown = overlay(image, heat, TOP)
    assert (shown.mode, shown.size) == ("RGB", (6, 4))
    changed = (np.asarray(shown) != np.asarray(image)).any(axis=2)
    assert np.argwhere(changed).tolist() == [[1, 4]]
    mixed = MAX_ALPHA * np.array(list(bytes.fromhex(RAMP[-1][1:]))) + (1 - MAX_ALPHA) * np.array([10, 120, 90])
    assert np.asarray(shown)[1, 4] == pytest.approx(mixed, abs=1.5)


def test_an_overlay_leaves_its_image_untouched() -> None:
    image = Image.new("RGB", (3, 3), (9, 9, 9))
    overlay(image, np.full((3, 3), TOP), TOP)
    assert image.getpixel((1, 1)) == (9, 9, 9)


def test_a_map_of_another_size_than_its_image_is_refused() -> None:
    with pytest.raises(RuntimeError, match="map is 3x2 and its image 2x3"):
        overlay(Image.new("RGB", (2, 3)), np.zeros((2, 3)), TOP)


def test_the_scale_bar_names_its_ends_and_shows_the_colours_of_the_maps() -> None:
    bar = scale_bar(7.5)
    assert re.findall(r">([^<]+)<", bar) == ["1×", "7.5× of an even look"]
    stops = re.findall(r"rgb\((\d+) (\d+) (\d+)/([\d.]+)\)", bar)
    for share in (0, 0.25, 0.5, 1):
        *rgb, alpha = color_of(EVEN + (7.5 - EVEN) * share, 7.5)
        red, green, blue, opacity = stops[round(share * (len(stops) - 1))]
        assert [int(red), int(green), int(blue)] == rgb
        assert float(opacity) == pytest.approx(alpha / 255, abs=1e-3)


def test_the_scale_bar_loads_nothing() -> None:
    assert not re.search(r"url\(|href|src=|<script", scale_bar(3))
