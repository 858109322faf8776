"""predictions.html: the prediction for each image, the likeliest defects first; filters work without a script."""

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from urllib.parse import quote

from launch.pages.theme import MARK, document, fact_items, warnings_card
from launch.predict.predictions import Prediction, Word
from launch.predict.truth import counts_by_truth
from launch.run.folder import write_whole
from rl.evaluation.heat import scale_bar
from rl.evaluation.verdicts import UNREADABLE, VERDICTS
from rl.types import DEFECTIVE, NORMAL

NAME = "predictions.html"
PLAIN, MAPPED, OUTLINED = "pictures/plain", "pictures/map", "pictures/truth"
"""Folders beside the page with the small pictures that it shows: <id>.jpg, and <id>.png for outlines."""
PICTURES = "'self' file:"
"""Sources from which the page may load pictures: beside it, on a disk or on a server."""
KINDS = {DEFECTIVE: "Defective", NORMAL: "Normal", UNREADABLE: "Unreadable", "error": "Not opened"}
NOTES = {
    DEFECTIVE: "the model sees a defect",
    NORMAL: "the model sees none",
    UNREADABLE: "the answer says neither Yes nor No",
    "error": "damaged or no image; skipped",
}
FEWEST_PLACES = 50
"""Places of an image from which its agreement is shown; among fewer, tokens agree wholly or not at all."""
TONES = {DEFECTIVE: "bad", NORMAL: "good", UNREADABLE: "warn", "error": ""}
WRONG = "wrong"
"""Class of the cards whose answer is not the truth."""
LAYERS = {"said": "Predicted boxes", "true": "True defects"}
"""What is drawn over pictures and may be hidden, by its class."""
METRICS = {
    "image_accuracy": "Image accuracy",
    "image_auroc": "Image AUROC",
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
    """Measures of the answers and maps against the truth; {} if it is not known."""
    truth: str = ""
    """Sentence on where the truth comes from; "" if it is not known."""
    ended: str = ""
    """Why not all images were inspected; "" if they were."""
    warnings: Sequence[str] = ()
    """Sentences on what the model cannot do with these images."""


def write_page(folder: Path, record: PageRecord) -> Path:
    """Write <folder>/predictions.html; return its path."""
    path = folder / NAME
    write_whole(path, page(folder, record))
    return path


def page(folder: Path, record: PageRecord) -> str:
    """Return the page, whose links are relative to the folder."""
    parts = [warnings_card(record.warnings), _tiles(record), _facts(record), _truth(record), _answers(folder, record)]
    return document(record.title, f"{_header(record)}<main>{''.join(parts)}</main>", style=STYLE, pictures=PICTURES)


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
    return f'<dl class="card facts">{fact_items(record.facts)}</dl>'


def _truth(record: PageRecord) -> str:
    """Return how well answers and maps agree with the truth; "" if it is not known."""
    if not record.truth:
        return ""
    known = [prediction for prediction in record.predictions if prediction.truth]
    measured = {title: f"{record.metrics[name]:.3f}" for name, title in METRICS.items() if name in record.metrics}
    notes = [record.truth, f"It is known of {len(known)} of the {len(record.predictions)} images."]
    notes += [_score_note(known)] if "image_auroc" in record.metrics else []
    return (
        f'<section class="truth"><header><h2>Against the truth</h2><p>{escape(" ".join(notes))}</p></header>'
        f'<div class="card"><dl class="facts">{fact_items(measured)}</dl>{_confusion(known)}</div></section>'
    )


def _score_note(known: Sequence[Prediction]) -> str:
    """Say what the image AUROC ranks images by, and how many of them have no probability."""
    lacking = sum(prediction.p_yes is None for prediction in known)
    told = "Image AUROC ranks images by p, the probability of Yes against No"
    return f"{told}; {lacking} without it by their verdict, unreadable ones in the middle." if lacking else f"{told}."


def _confusion(known: Sequence[Prediction]) -> str:
    """Return a table of the true labels against what the model says; an unreadable answer counts as wrong."""
    heads = "".join(f"<th>said {said}</th>" if said != UNREADABLE else f"<th>{said}</th>" for said in VERDICTS)
    rows = "".join(
        f"<tr><th>truly {truth}</th>"
        + "".join(f'<td class="{"right" if said == truth else ""}">{count}</td>' for said, count in counts.items())
        + "</tr>"
        for truth, counts in counts_by_truth(known).items()
    )
    return f'<table class="confusion"><thead><tr><th></th>{heads}</tr></thead><tbody>{rows}</tbody></table>'


def _answers(folder: Path, record: PageRecord) -> str:
    ranked = sorted(enumerate(record.predictions), key=lambda placed: _likeliest_first(placed[1]))
    cards = "".join(_card(folder, each, rank, place) for rank, (place, each) in enumerate(ranked))
    outlined = any(prediction.outline for prediction in record.predictions)
    legend = (
        '<ul class="key"><li><i class="said"></i>defect that the model points at</li>'
        f"{'<li><i></i>true defect, as its mask has it</li>' if outlined else ''}"
        '<li><mark style="--w:.9">words</mark> that make up the map</li>'
        f"<li>{scale_bar(record.heat_top)}</li></ul>"
    )
    return (
        f'<section class="answers"><header><h2>Images</h2>{legend}</header>{_controls(record.predictions)}'
        f'<div class="cards">{cards}</div></section>'
    )


def _likeliest_first(prediction: Prediction) -> tuple[bool, float]:
    """Return the sort key; damaged files come last."""
    return prediction.error is not None, -prediction.score


def _controls(predictions: Sequence[Prediction]) -> str:
    """Return the buttons, which precede the cards because the style sheet filters cards and layers by them."""
    kinds = Counter(prediction.kind for prediction in predictions)
    counts = {"all": len(predictions), **kinds, WRONG: sum(prediction.is_wrong for prediction in predictions)}
    titles = {"all": "All", **KINDS, WRONG: "Wrong"}
    filters = [(kind, f"{title} <b>{counts[kind]}</b>") for kind, title in titles.items() if counts.get(kind)]
    drawn = {"said": any(each.boxes for each in predictions), "true": any(each.outline for each in predictions)}
    groups = [
        _radios("show", filters),
        _switches("layer", [(name, title) for name, title in LAYERS.items() if drawn[name]]),
        _radios("by", [("p", "Likeliest first"), ("name", "By name")]),
    ]
    buttons = "".join(button for group in groups for button, _ in group)
    labels = "".join(f"<div>{''.join(label for _, label in group)}</div>" for group in groups if group)
    return f'{buttons}<nav class="controls">{labels}</nav>'


def _radios(group: str, options: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return (button, label) of each option; the first is chosen."""
    return [
        (
            f'<input type="radio" name="{group}" id="{group}-{name}"{"" if index else " checked"}>',
            _label(group, name, text),
        )
        for index, (name, text) in enumerate(options)
    ]


def _switches(group: str, options: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return (button, label) of each option; all are on."""
    return [
        (f'<input type="checkbox" id="{group}-{name}" checked>', _label(group, name, text)) for name, text in options
    ]


def _label(group: str, name: str, text: str) -> str:
    return f'<label for="{group}-{name}">{text}</label>'


def _card(folder: Path, prediction: Prediction, rank: int, place: int) -> str:
    body = f'<p class="faults">{escape(prediction.error)}</p>' if prediction.error else _found(prediction)
    link = _url(os.path.relpath(prediction.image, folder))
    kinds = f"{prediction.kind} {WRONG}" if prediction.is_wrong else prediction.kind
    return (
        f'<article class="card case {kinds}" style="--rank:{rank};--place:{place}">{body}'
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
    if prediction.truth:
        chips.append(("warn", f"✗ is {prediction.truth}", "") if prediction.is_wrong else ("", "✓ right", ""))
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
    assert prediction.map
    mapped = f'<a href="{_url(prediction.map)}">{_picture(prediction, MAPPED, "where it looked")}</a>'
    truth = _outline(prediction)
    plain = _figure(_picture(prediction, PLAIN, "inspected") + truth + drawn, "inspected")
    return plain + _figure(mapped + truth, "where it looked")


def _figure(pictures: str, caption: str) -> str:
    """Return pictures that lie over one another, the lowest first, with a caption."""
    return f'<figure><div class="frame">{pictures}</div><figcaption>{caption}</figcaption></figure>'


def _outline(prediction: Prediction) -> str:
    if not prediction.outline:
        return ""
    return f'<img class="true" src="{_url(prediction.outline)}" loading="lazy" alt="outline of the true defects">'


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


FILTERS, ORDERS = ("all", *KINDS, WRONG), ("p", "name")
_BUTTONS = [
    *(f"show-{name}" for name in FILTERS),
    *(f"layer-{name}" for name in LAYERS),
    *(f"by-{name}" for name in ORDERS),
]
_HIDDEN = ", ".join(
    [f"#show-{kind}:checked ~ .cards .case:not(.{kind})" for kind in FILTERS[1:]]
    + [f"#layer-{name}:not(:checked) ~ .cards .{name}" for name in LAYERS]
)
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
.answers .frame img.true {{
  position: absolute; inset: 0; height: 100%; pointer-events: none; filter: drop-shadow(0 0 1px rgb(0 0 0 / 75%));
}}
.chip.warn {{ background: var(--warn-page); color: var(--warn); }}
.truth > .card {{ display: flex; flex-wrap: wrap; align-items: center; gap: 6px 30px; padding: 8px 20px; }}
.truth .facts {{ flex: 1 1 300px; padding: 10px 0; margin: 0; }}
.confusion {{ width: auto; }}
.confusion th, .confusion td {{ padding: 8px 14px 8px 0; min-width: 0; font-size: 13px; vertical-align: baseline; }}
.confusion th {{ white-space: normal; }}
.confusion td {{ font-size: 17px; font-weight: 620; }} .confusion td.right {{ color: var(--good); }}
.confusion tbody tr:first-child {{ background: none; }}
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
  color: var(--ink); border-radius: 3px; padding: 0 1px;
  background: color-mix(in srgb, var(--said) calc(10% + var(--w) * 45%), transparent);
}}
"""
