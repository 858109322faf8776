"""predictions.html: the prediction for each image, the likeliest defects first; filters work without a script."""

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from urllib.parse import quote

from launch.pages.theme import MARK, document
from launch.predict.predictions import Prediction, Word
from rl.evaluation.heat import scale_bar

NAME = "predictions.html"
PLAIN, MAPPED = "pictures/plain", "pictures/map"
"""Folders beside the page with the small pictures that it shows, <id>.jpg each."""
PICTURES = "'self' file:"
"""Sources from which the page may load pictures: beside it, on a disk or on a server."""
KINDS = {"defective": "Defective", "normal": "Normal", "unreadable": "Unreadable", "error": "Not opened"}
NOTES = {
    "defective": "the model sees a defect",
    "normal": "the model sees none",
    "unreadable": "the answer says neither Yes nor No",
    "error": "damaged or no image; skipped",
}
FEWEST_PLACES = 50
"""Places of an image from which its agreement is shown; among fewer, tokens agree wholly or not at all."""
TONES = {"defective": "bad", "normal": "good", "unreadable": "warn", "error": ""}
METRICS = {
    "pixel_auroc": "Pixel AUROC",
    "pixel_aupr": "Pixel AUPR",
    "pixel_aupro": "Pixel AUPRO",
    "pixel_accuracy": "Pixel accuracy",
    "pixel_f1_max": "Pixel F1-max",
}


@dataclass(frozen=True, kw_only=True)
class PageRecord:
    """The content of the page."""

    title: str
    facts: Mapping[str, str]
    """Question, model and input in words, by label."""
    predictions: Sequence[Prediction]
    heat_top: float
    """End of the maps' scale, in multiples of an even look."""
    metrics: Mapping[str, float]
    """Pixel metrics of the maps against the masks; {} without masks."""
    ended: str = ""
    """Why not all images were inspected; "" if they were."""


def write_page(folder: Path, record: PageRecord) -> Path:
    """Write <folder>/predictions.html; return its path."""
    path = folder / NAME
    path.write_text(page(folder, record), encoding="utf-8", errors="replace")
    return path


def page(folder: Path, record: PageRecord) -> str:
    """Return the page, whose links are relative to the folder."""
    content = f"{_header(record)}<main>{_tiles(record)}{_facts(record)}{_answers(folder, record)}</main>"
    return document(record.title, content, style=STYLE, pictures=PICTURES)


def _header(record: PageRecord) -> str:
    kind, word = ("warn", "stopped") if record.ended else ("", "finished")
    reason = f"<p>{escape(record.ended)}</p>" if record.ended else ""
    mark = f'<div class="mark">{MARK}Assay <span class="{f"status {kind}".strip()}">{word}</span></div>'
    return f'<header class="mast">{mark}<h1>{escape(record.title)}</h1>{reason}</header>'


def _tiles(record: PageRecord) -> str:
    counts = Counter(prediction.kind for prediction in record.predictions)
    tiles = [
        f'<article class="card tile {kind}"><h3>{title}</h3><div class="value"><b>{counts[kind]}</b></div>'
        f"<p>{NOTES[kind]}</p></article>"
        for kind, title in KINDS.items()
    ]
    return f'<div class="tiles">{"".join(tiles)}</div>'


def _facts(record: PageRecord) -> str:
    measured = {title: f"{record.metrics[name]:.3f}" for name, title in METRICS.items() if name in record.metrics}
    told = {**record.facts, **measured}
    items = "".join(f"<div><dt>{escape(label)}</dt><dd>{escape(text)}</dd></div>" for label, text in told.items())
    return f'<dl class="card facts">{items}</dl>'


def _answers(folder: Path, record: PageRecord) -> str:
    ranked = sorted(enumerate(record.predictions), key=lambda placed: _likeliest_first(placed[1]))
    cards = "".join(_card(folder, each, rank, place) for rank, (place, each) in enumerate(ranked))
    legend = (
        '<ul class="key"><li><i class="said"></i>defect that the model points at</li>'
        '<li><mark style="--w:.9">words</mark> that make up the map</li>'
        f"<li>{scale_bar(record.heat_top)}</li></ul>"
    )
    return (
        f'<section class="answers"><header><h2>Images</h2>{legend}</header>{_controls(record.predictions)}'
        f'<div class="cards">{cards}</div></section>'
    )


def _likeliest_first(prediction: Prediction) -> tuple[bool, float]:
    """Return the sort key; damaged files come last, and without a probability the verdict alone decides."""
    of_verdict = {"defective": 1.0, "normal": 0.0}.get(prediction.verdict or "", 0.5)
    return prediction.error is not None, -(of_verdict if prediction.p_yes is None else prediction.p_yes)


def _controls(predictions: Sequence[Prediction]) -> str:
    """Return the radio buttons, which precede the cards because the style sheet filters cards by them."""
    counts = {"all": len(predictions), **Counter(prediction.kind for prediction in predictions)}
    titles = {"all": "All", **KINDS}
    filters = [(kind, f"{title} <b>{counts[kind]}</b>") for kind, title in titles.items() if counts.get(kind)]
    buttons = _radios("show", filters)
    orders = _radios("by", [("p", "Likeliest first"), ("name", "By name")])
    return (
        f'{"".join(button for button, _ in (*buttons, *orders))}<nav class="controls">'
        f"<div>{''.join(label for _, label in buttons)}</div><div>{''.join(label for _, label in orders)}</div></nav>"
    )


def _radios(group: str, options: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return (button, label) of each option; the first is chosen."""
    return [
        (
            f'<input type="radio" name="{group}" id="{group}-{name}"{"" if index else " checked"}>',
            f'<label for="{group}-{name}">{text}</label>',
        )
        for index, (name, text) in enumerate(options)
    ]


def _card(folder: Path, prediction: Prediction, rank: int, place: int) -> str:
    body = f'<p class="faults">{escape(prediction.error)}</p>' if prediction.error else _found(prediction)
    link = _url(os.path.relpath(prediction.image, folder))
    return (
        f'<article class="card case {prediction.kind}" style="--rank:{rank};--place:{place}">{body}'
        f'<footer><a href="{link}" title="{escape(prediction.image)}">{escape(prediction.id)}</a></footer></article>'
    )


def _found(prediction: Prediction) -> str:
    said = _marked(prediction.answer)
    answer = f'<p class="answer">{said}</p>' if said else ""
    return (
        f'<div class="pictures">{_pictures(prediction)}</div>{_chips(prediction)}'
        f"<blockquote>{_marked(prediction.reasoning)}</blockquote>{answer}"
    )


def _chips(prediction: Prediction) -> str:
    chips = [(TONES[prediction.kind], prediction.verdict or "no verdict", "")]
    if prediction.p_yes is not None:
        chips.append(("", f"p {_percent(prediction.p_yes)}", "probability of Yes against No, after this reasoning"))
    if prediction.agreement is not None and prediction.num_places >= FEWEST_PLACES:
        note = "of the places at which any of its top tokens looks, the share at which all do"
        chips.append(("", f"agreement {prediction.agreement:.2f}", note))
    drawn = "".join(f'<span class="chip {tone}" title="{title}">{text}</span>' for tone, text, title in chips)
    bar = "" if prediction.p_yes is None else f'<span class="bar"><i style="width:{prediction.p_yes:.1%}"></i></span>'
    return f'<div class="chips">{drawn}</div>{bar}'


def _percent(share: float) -> str:
    """Return a percentage that is 0 or 100 only for exactly 0 or 1.

    >>> _percent(0.873), _percent(0.9999), _percent(0.002)
    ('87%', '>99%', '<1%')
    """
    if 0 < share < 0.01:
        return "<1%"
    return ">99%" if 0.99 < share < 1 else f"{share:.0%}"


def _pictures(prediction: Prediction) -> str:
    width, height = prediction.size
    labels = prediction.box_labels
    boxes = "".join(
        f'<rect class="said" x="{x1:g}" y="{y1:g}" width="{x2 - x1:g}" height="{y2 - y1:g}">'
        f"<title>{escape(label) or 'defect'}</title></rect>"
        for (x1, y1, x2, y2), label in zip(prediction.boxes, labels, strict=True)
    )
    drawn = f'<svg viewBox="0 0 {width} {height}" preserveAspectRatio="none">{boxes}</svg>' if boxes else ""
    plain = _figure(prediction, PLAIN, drawn, "inspected")
    assert prediction.map
    mapped = f'<a href="{_url(prediction.map)}">{_picture(prediction, MAPPED, "where it looked")}</a>'
    return f'{plain}<figure><div class="frame">{mapped}</div><figcaption>where it looked</figcaption></figure>'


def _figure(prediction: Prediction, folder: str, drawn: str, caption: str) -> str:
    picture = _picture(prediction, folder, caption)
    return f'<figure><div class="frame">{picture}{drawn}</div><figcaption>{caption}</figcaption></figure>'


def _picture(prediction: Prediction, folder: str, alt: str) -> str:
    width, height = prediction.size
    source = _url(f"{folder}/{prediction.id}.jpg")
    return f'<img src="{source}" loading="lazy" width="{width}" height="{height}" alt="{alt}">'


def _url(path: str) -> str:
    """Quote the name of a file, which may hold bytes that are no text."""
    return quote(os.fsencode(path))


def _marked(words: Sequence[Word]) -> str:
    """Escape the text and mark the pieces with a weight; blanks stay outside the marks."""
    return "".join(_word(text, weight) for text, weight in words)


def _word(text: str, weight: float) -> str:
    bare = text.strip()
    if weight <= 0 or not bare:
        return escape(text)
    before, _, after = text.partition(bare)
    return f'{before}<mark style="--w:{min(weight, 1):.2f}" title="weight {weight:.2f}">{escape(bare)}</mark>{after}'


FILTERS, ORDERS = ("all", *KINDS), ("p", "name")
_BUTTONS = [*(f"show-{name}" for name in FILTERS), *(f"by-{name}" for name in ORDERS)]
_HIDDEN = ", ".join(f"#show-{kind}:checked ~ .cards .case:not(.{kind})" for kind in KINDS)
_CHOSEN = ", ".join(f"#{button}:checked ~ .controls label[for={button}]" for button in _BUTTONS)
_FOCUSED = ", ".join(f"#{button}:focus-visible ~ .controls label[for={button}]" for button in _BUTTONS)
STYLE = f"""
.answers > input {{ position: absolute; opacity: 0; pointer-events: none; }}
.controls {{
  position: sticky; top: 0; z-index: 2; display: flex; flex-wrap: wrap; gap: 8px 18px; justify-content: space-between;
  padding: 10px 0; margin-bottom: 6px; background: var(--page);
}}
.controls div {{ display: flex; flex-wrap: wrap; gap: 6px; }}
.controls label {{
  padding: 4px 12px; border: 1px solid var(--edge); border-radius: 99px; background: var(--card); color: var(--soft);
  font-size: 13px; font-weight: 550; cursor: pointer;
}}
.controls label b {{ font-weight: 550; margin-left: 3px; opacity: .7; }}
{_CHOSEN} {{ background: var(--ink); border-color: var(--ink); color: var(--page); }}
{_FOCUSED} {{ outline: 2px solid var(--s0); outline-offset: 2px; }}
{_HIDDEN} {{ display: none; }}
.answers .case {{ order: var(--rank); content-visibility: auto; contain-intrinsic-size: auto 380px; }}
#by-name:checked ~ .cards .case {{ order: var(--place); }}
.answers .frame img {{ height: auto; }}
.answers .frame a {{ display: block; }}
.answers .bar {{ margin: 9px 14px 0; }}
.answers .bar i {{ background: var(--s6); }}
.defective .bar i {{ background: var(--said); }}
.answer {{
  padding: 6px 14px 0; color: var(--soft); font-size: 12.5px; max-height: 96px; overflow-y: auto;
  overflow-wrap: anywhere; white-space: pre-line;
}}
.answers .faults {{ padding-top: 14px; font-size: 13.5px; }}
.answers .case footer a {{ color: inherit; }}
.answers .key {{ align-items: center; }}
@media (max-width: 640px) {{
  .tiles {{ grid-template-columns: 1fr 1fr; }} .tile {{ padding: 13px 15px; }} .controls {{ position: static; }}
}}
mark {{
  color: inherit; border-radius: 3px; padding: 0 1px;
  background: color-mix(in srgb, var(--said) calc(10% + var(--w) * 45%), transparent);
}}
"""
