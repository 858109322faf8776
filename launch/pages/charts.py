"""Line and stacked charts as HTML and inline SVG without scripts; labels stay readable at any width."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from html import escape
from itertools import accumulate
from statistics import fmean

MAX_POINTS = 160
"""Longer curves are averaged down to this many points."""
SMOOTH_FROM = 20
"""Curves of at least this many points also get a running mean."""
LEAST_SPREAD = 1e-9
"""Least relative difference between values that is drawn; below it a curve counts as flat."""
TINY = 1e-100

Point = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Series:
    name: str
    """Label in legend and tooltips; "" leaves the series out of both."""
    points: tuple[Point, ...]
    """(step, value), steps rising."""
    color: int = 0
    """Index of one of the theme's eight colours."""
    dots: bool = False
    """Draw points without a line between them."""


@dataclass(frozen=True, kw_only=True)
class Chart:
    title: str
    caption: str
    series: tuple[Series, ...]
    """In a stacked chart: all at the same steps, the lowest first. Otherwise the first is drawn on top."""
    stacked: bool = False
    log: bool = False
    """Use a logarithmic value axis, without the values that are not positive."""
    unit: str = ""
    smooth: bool = True
    """Draw a running mean over the single steps of a long curve."""
    wide: bool = False
    levels: Mapping[str, float] = field(default_factory=dict)
    """Values to compare the curves with, by name; each is a horizontal line."""


@dataclass(frozen=True, kw_only=True)
class Axes:
    """Map from steps and values to percent of the plot, counted from its top left."""

    steps: tuple[float, float]
    ticks: tuple[float, ...]
    log: bool

    def x(self, step: float) -> float:
        first, last = self.steps
        return 50.0 if first == last else 100 * (step - first) / (last - first)

    def y(self, value: float) -> float:
        low, high, place = self.ticks[0], self.ticks[-1], value
        if self.log:
            low, high, place = math.log10(low), math.log10(high), math.log10(value)
        return 100 - 100 * (place - low) / (high - low)


def draw(chart: Chart) -> str:
    """Return the chart as a figure; "" if it has no point to show."""
    thinned = [replace(one, points=_thinned(_shown(one.points, chart.log))) for one in chart.series]
    series = [one for one in thinned if one.points]
    if not series:
        return ""
    layers = _stacked(series) if chart.stacked else series
    axes = _axes(chart, layers)
    shapes = _areas(layers, axes) if chart.stacked else _lines(chart, series, axes)
    labels = "".join(
        f'<span class="tick" style="top:{axes.y(tick):.2f}%">{format_number(tick)}</span>' for tick in axes.ticks
    )
    levels = "".join(
        f'<span class="level" style="top:{axes.y(value):.2f}%">{escape(name)}</span>'
        for name, value in chart.levels.items()
    )
    grid = "".join(f'<path class="grid" d="M0 {axes.y(tick):.2f}H100"/>' for tick in axes.ticks)
    grid += "".join(f'<path class="level" d="M0 {axes.y(value):.2f}H100"/>' for value in chart.levels.values())
    first, last = axes.steps
    return (
        f'<figure class="card chart{" wide" if chart.wide else ""}">'
        f"<figcaption><h3>{escape(chart.title)}</h3><p>{escape(chart.caption)}</p></figcaption>"
        f'<div class="plot"><div class="ticks">{labels}</div>'
        f'<svg viewBox="0 0 100 100" preserveAspectRatio="none" role="img" aria-label="{escape(chart.title)}">'
        f"{grid}{shapes}{_hovers(series, axes, chart.unit)}</svg>{levels}</div>"
        f'<div class="steps"><span>step {first:g}</span><span>{last:g}</span></div>'
        f"{_legend(series, chart.unit)}</figure>"
    )


def is_zero(chart: Chart) -> bool:
    """Return True if the chart has values and all of them are 0."""
    values = [value for one in chart.series for _, value in one.points if math.isfinite(value)]
    return bool(values) and not any(values)


def is_smoothed(chart: Chart, series: Series) -> bool:
    """Return True if the curve is drawn with its running mean."""
    return chart.smooth and not chart.stacked and len(series.points) >= SMOOTH_FROM


def format_number(value: float) -> str:
    """Format a number with three significant digits.

    >>> [format_number(value) for value in (0, 1234567, 12345, 1.5, 0.25, 0.00002, -3)]
    ['0', '1.23M', '12.3k', '1.5', '0.25', '2e-5', '-3']
    """
    size = abs(value)
    if size >= 1e6:
        return f"{value / 1e6:.3g}M"
    if size >= 1e4:
        return f"{value / 1e3:.3g}k"
    if size == 0 or size >= 1e-3:
        return f"{value:.0f}" if size >= 1e3 else f"{value:.3g}"
    mantissa, exponent = f"{value:.2g}".split("e") if "e" in f"{value:.2g}" else (f"{value:.2g}", "")
    return f"{mantissa}e{int(exponent)}" if exponent else mantissa


def nice_ticks(low: float, high: float, count: int = 4) -> tuple[float, ...]:
    """Return about `count` round numbers that span low to high; for a flat curve they also span 0.

    >>> nice_ticks(0.13, 2.7)
    (0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0)
    >>> nice_ticks(1.5, 1.5)
    (0.0, 0.5, 1.0, 1.5)
    """
    size = max(abs(low), abs(high))
    if high - low <= LEAST_SPREAD * size or size < TINY:
        low, high = (min(low, 0.0), max(high, 0.0)) if size >= TINY else (0.0, 1.0)
    rough = (high - low) / count
    scale = 10 ** math.floor(math.log10(rough))
    step = scale * min((1, 2, 5, 10), key=lambda factor: abs(factor * scale - rough))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return tuple(float(f"{index * step:.12g}") for index in range(first, last + 1))


def running_mean(points: Sequence[Point]) -> tuple[Point, ...]:
    """Average each value with its neighbours in a window of a sixth of the curve, cut off at both ends."""
    reach = max(1, len(points) // 12)
    return tuple(
        (step, fmean(value for _, value in points[max(0, index - reach) : index + reach + 1]))
        for index, (step, _) in enumerate(points)
    )


def _shown(points: Sequence[Point], log: bool) -> list[Point]:
    return [(step, value) for step, value in points if math.isfinite(value) and (value > 0 or not log)]


def _thinned(points: Sequence[Point]) -> tuple[Point, ...]:
    size = math.ceil(len(points) / MAX_POINTS) or 1
    buckets = [points[start : start + size] for start in range(0, len(points), size)]
    return tuple((bucket[-1][0], fmean(value for _, value in bucket)) for bucket in buckets)


def _stacked(series: Sequence[Series]) -> list[Series]:
    """Add to each series the values of the series below it."""
    heights = [[value for _, value in one.points] for one in series]
    tops = accumulate(heights, lambda below, own: [a + b for a, b in zip(below, own, strict=True)])
    return [
        replace(one, points=tuple((step, top) for (step, _), top in zip(one.points, tops_of, strict=True)))
        for one, tops_of in zip(series, tops, strict=True)
    ]


def _axes(chart: Chart, series: Sequence[Series]) -> Axes:
    values = [value for one in series for _, value in one.points] + list(chart.levels.values())
    steps = [step for one in series for step, _ in one.points]
    if chart.log:
        lowest = math.floor(math.log10(min(values)) + 1e-9)
        highest = max(lowest + 1, math.ceil(math.log10(max(values)) - 1e-9))
        ticks = tuple(10.0**power for power in range(lowest, highest + 1))
    else:
        ticks = nice_ticks(0.0 if chart.stacked else min(values), max(values))
    return Axes(steps=(min(steps), max(steps)), ticks=ticks, log=chart.log)


def _path(points: Sequence[Point], axes: Axes) -> str:
    return "M" + "L".join(f"{axes.x(step):.2f} {axes.y(value):.2f}" for step, value in points)


def _lines(chart: Chart, series: Sequence[Series], axes: Axes) -> str:
    return "".join(_line(one, axes, is_smoothed(chart, one)) for one in reversed(series))


def _line(series: Series, axes: Axes, smooth: bool) -> str:
    points = series.points * 2 if len(series.points) == 1 else series.points
    if series.dots:
        # A line of length 0 is drawn as its round caps: a dot.
        places = "".join(f"M{axes.x(step):.2f} {axes.y(value):.2f}h0" for step, value in series.points)
        return f'<path class="dots s{series.color}" d="{places}"/>'
    if not smooth:
        return f'<path class="line s{series.color}" d="{_path(points, axes)}"/>'
    return (
        f'<path class="raw s{series.color}" d="{_path(points, axes)}"/>'
        f'<path class="line s{series.color}" d="{_path(running_mean(points), axes)}"/>'
    )


def _areas(layers: Sequence[Series], axes: Axes) -> str:
    """Fill the areas from the top layer down; each covers the part of the higher ones below its own height."""
    shapes = []
    for layer in reversed(layers):
        left, right = axes.x(layer.points[0][0]), axes.x(layer.points[-1][0])
        shapes.append(
            f'<path class="area s{layer.color}" d="{_path(layer.points, axes)}L{right:.2f} 100L{left:.2f} 100Z"/>'
        )
    return "".join(shapes)


def _hovers(series: Sequence[Series], axes: Axes, unit: str) -> str:
    """Draw an invisible column for each step; under the pointer it shows a guide line and all values."""
    values: dict[float, list[str]] = {}
    for one in series:
        for step, value in one.points if one.name else ():
            values.setdefault(step, []).append(f"{one.name}: {format_number(value)}{unit}")
    width = 100 / len(values)
    columns = []
    for step, lines in values.items():
        x = axes.x(step)
        title = escape("\n".join([f"step {step:g}", *lines]))
        columns.append(
            f'<g class="hover"><path d="M{x:.2f} 0V100"/>'
            f'<rect x="{x - width / 2:.2f}" y="0" width="{width:.2f}" height="100"><title>{title}</title></rect></g>'
        )
    return "".join(columns)


def _legend(series: Sequence[Series], unit: str) -> str:
    """List each series with its last value, which is then readable without a pointer."""
    items = [
        f'<li><i class="s{one.color}{" round" if one.dots else ""}"></i>{escape(one.name)} '
        f"<b>{format_number(one.points[-1][1])}{escape(unit)}</b></li>"
        for one in series
        if one.name
    ]
    return f'<ul class="legend">{"".join(items)}</ul>'
