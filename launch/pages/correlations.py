"""Table of the correlations between reward components, its cells coloured by their value."""

from collections.abc import Sequence
from html import escape
from itertools import combinations
from statistics import fmean

from rl.metrics import component_names
from rl.roles import Metrics

LATEST = 10
"""Number of steps averaged."""
RISING, FALLING = 0, 2
"""Theme colours of correlations above and below 0."""


def correlation_table(rows: Sequence[Metrics]) -> str:
    """Return the table of latest correlations; "" if no two components ever varied in the same step."""
    found = latest_correlations(rows)
    if not found:
        return ""
    names = [name for name in component_names(rows) if any(name in pair for pair in found)]
    heads = "".join(f"<th>{escape(name)}</th>" for name in names[:-1])
    body = "".join(
        f"<tr><th>{escape(name)}</th>{''.join(_cell(found.get((other, name))) for other in names[:place])}</tr>"
        for place, name in enumerate(names)
        if place > 0
    )
    return (
        '<div class="card heat"><h3>Correlation of rewards</h3>'
        f"<p>Correlation of two components over a step's completions, averaged over the last {LATEST} steps in which "
        "both varied. Near 1 both reward the same thing; below 0 one is earned at the expense of the other.</p>"
        f"<table><thead><tr><th></th>{heads}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def latest_correlations(rows: Sequence[Metrics]) -> dict[tuple[str, str], float]:
    """Average the correlation of each (earlier, later) component over the last steps that have it."""
    names = component_names(rows)
    curves = {(one, other): _curve(rows, one, other) for one, other in combinations(names, 2)}
    return {pair: fmean(curve[-LATEST:]) for pair, curve in curves.items() if curve}


def _curve(rows: Sequence[Metrics], one: str, other: str) -> list[float]:
    """Return the correlations of a pair in step order; a metric's name may have the two in either order."""
    metrics = (f"reward/correlation/{one}_{other}", f"reward/correlation/{other}_{one}")
    return [row[metric] for row in rows for metric in metrics if metric in row]


def _cell(value: float | None) -> str:
    if value is None:
        return "<td>–</td>"
    color = RISING if value > 0 else FALLING
    return f'<td class="s{color}" style="--share:{abs(value):.2f}">{value:.2f}</td>'.replace(">-", ">−")
