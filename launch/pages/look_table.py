"""The report's section "Where it looks": a row of attention maps for each sample, a column for each evaluation."""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from PIL import Image

from launch.pages.gallery import embedded
from rl.evaluation.heat import scale_bar
from rl.evaluation.kept_maps import KeptMap, maps_file, read_maps
from rl.evaluation.look_pictures import TOP, inspected, with_map, with_truth
from rl.metrics import HELD_OUT
from rl.roles import Metrics
from rl.types import DEFECTIVE, Group

COLUMNS = 6
"""Maximum number of evaluations shown."""
PICTURE_PIXELS = 224

Deltas = tuple[float, float]
"""δ1 and δ2: J earns the reward above δ1 for a defective sample, below δ2 for a normal one."""
AllMaps = Mapping[int, Mapping[str, KeptMap]]
"""Kept maps by step and sample id."""


def recorded_maps(run: Path, rows: Sequence[Metrics]) -> AllMaps:
    """Read the maps of the evaluations in `rows`; ignore files of later steps, left by a run resumed before them."""
    steps = sorted({int(row["step"]) for row in rows if f"{HELD_OUT}/samples" in row})
    return {step: read_maps(maps_file(run, step)) for step in steps if maps_file(run, step).exists()}


def looks_section(found: AllMaps, groups: Sequence[Group], resize: str, deltas: Deltas | None) -> str:
    """Return the section; "" if no map was kept. `groups` hold the samples' images and truth."""
    known = {group.prompt.sample.id: group for group in groups}
    ids = [name for name in dict.fromkeys(name for maps in found.values() for name in maps) if name in known]
    if not ids:
        return ""
    steps = spread(list(found), COLUMNS)
    heads = "".join(f"<th>{'Before training' if step == 0 else f'After {step} steps'}</th>" for step in steps)
    shown = [{name: found[step].get(name) for name in ids} for step in steps]
    rows = "".join(_row(known[name], [maps[name] for maps in shown], resize, deltas) for name in ids)
    which = f" {len(steps)} of {len(found)} evaluations are shown." if len(steps) < len(found) else ""
    return (
        "<section><header><h2>Where it looks</h2><p>Anomaly maps of the same held-out samples on one scale: "
        "1×, where colour begins, is what a place would get if the attention were spread evenly over the image."
        f"{which} {_legend(deltas)}</p>"
        f'{scale_bar(TOP)}</header><div class="card scroll"><table class="looks"><thead><tr><th>Inspected</th>{heads}'
        f"</tr></thead><tbody>{rows}</tbody></table></div></section>"
    )


def spread(steps: Sequence[int], count: int) -> list[int]:
    """Choose at most `count` of the steps at even distances, the first and the last among them.

    >>> spread([0, 10, 20, 30, 40, 50, 60], 4)
    [0, 20, 40, 60]
    """
    if len(steps) <= count:
        return list(steps)
    return [steps[round(index * (len(steps) - 1) / (count - 1))] for index in range(count)]


def _legend(deltas: Deltas | None) -> str:
    meaning = "J says how far the most relevant tokens look at the same places"
    if deltas is None:
        return f"{meaning}."
    high, low = deltas
    return f"{meaning}; it is green where it earns the reward: above {high:g} with a defect, below {low:g} without."


def _row(group: Group, kept: Sequence[KeptMap | None], resize: str, deltas: Deltas | None) -> str:
    prompt = group.prompt
    picture, name = inspected(prompt, PICTURE_PIXELS), escape(prompt.sample.id)
    truth = _picture(with_truth(picture, prompt), f'<p title="{name}">{name}</p>')
    looks = [
        "–" if each is None else _picture(with_map(picture, each, resize), _chip(each, prompt.target.label, deltas))
        for each in kept
    ]
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in (truth, *looks))}</tr>"


def _picture(picture: Image.Image, caption: str) -> str:
    return f'<img src="{embedded(picture)}" alt="inspected image">{caption}'


def _chip(kept: KeptMap, label: str, deltas: Deltas | None) -> str:
    kind = "chip good" if deltas and _earns(kept.agreement, label, deltas) else "chip"
    return f'<p><span class="{kind}">J {kept.agreement:.2f}</span></p>'


def _earns(agreement: float, label: str, deltas: Deltas) -> bool:
    high, low = deltas
    return agreement > high if label == DEFECTIVE else agreement < low
