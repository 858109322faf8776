"""Charts that overlay the curves of several runs."""

from collections.abc import Sequence
from dataclasses import replace

from launch.pages.charts import Chart
from launch.pages.curves import EXACT, series
from rl.roles import Metrics

NAMED = 6
"""Number of first runs with a colour of their own; all others share the theme's last colour, a grey."""


def overlay(
    runs: Sequence[tuple[str, Sequence[Metrics]]], title: str, metric: str, caption: str, *, wide: bool
) -> Chart:
    """Overlay the curves of a metric, without those of fewer than three points; a run is its name and its rows."""
    lines = [series(rows, metric, color=color_of(place), label=name) for place, (name, rows) in enumerate(runs)]
    lines = [replace(line, name="") if line.color == NAMED else line for line in lines if len(line.points) > 2]
    return Chart(title=title, caption=caption, series=tuple(lines), wide=wide, smooth=metric not in EXACT)


def color_of(place: int) -> int:
    """Return the colour of the run in this place."""
    return min(place, NAMED)
