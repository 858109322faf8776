"""The style sheet, mark and frame of every page: light and dark, from phone to desktop."""

from collections.abc import Mapping, Sequence
from html import escape

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""Content security policy: the page loads nothing and runs nothing, even if a model wrote code into it."""

STYLE = """
:root {
  color-scheme: light dark;
  --page: #f6f6f3; --card: #ffffff; --ink: #16181d; --soft: #545b66; --faint: #686e79; --edge: #e4e4de;
  --grid: #ecece6;
  --s0: #2866d6; --s1: #0f9d8a; --s2: #e08a1e; --s3: #8a5cd6; --s4: #d6487e; --s5: #5b8f29; --s6: #9aa1ac;
  --s7: #c9a878;
  --good: #13794a; --good-page: #e3f4ea; --bad: #b3321f; --bad-page: #fbe8e4;
  --warn: #8a5a00; --warn-page: #fdf0d2;
  --true: #1fbf6b; --said: #ff7a1a; --shadow: 0 1px 2px rgb(20 22 28 / 5%), 0 6px 20px rgb(20 22 28 / 4%);
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #101216; --card: #181b21; --ink: #eceef2; --soft: #a9b0bc; --faint: #8b93a0; --edge: #282d36;
    --grid: #262a32;
    --s0: #6ea2ff; --s1: #35c9b4; --s2: #f2b04e; --s3: #b594f5; --s4: #f07fa9; --s5: #97c95f; --s6: #6d7583;
    --s7: #8f7a58;
    --good: #5fd597; --good-page: #14301f; --bad: #ff8f7b; --bad-page: #3a1a15;
    --warn: #f2c14e; --warn-page: #35290f; --shadow: none;
  }
}
* { box-sizing: border-box; margin: 0; }
body {
  background: var(--page); color: var(--ink); padding: 0 20px 72px; -webkit-text-size-adjust: 100%;
  font: 15px/1.5 Inter, ui-sans-serif, system-ui, -apple-system, "Segoe UI", Roboto, Arial, sans-serif;
  font-variant-numeric: tabular-nums;
}
body > * { max-width: 1160px; margin-left: auto; margin-right: auto; }
h1 {
  font-size: clamp(28px, 5vw, 40px); line-height: 1.12; letter-spacing: -.025em; font-weight: 680;
  overflow-wrap: anywhere;
}
h1 small { font-size: .5em; font-weight: 520; letter-spacing: 0; color: var(--soft); }
h2 { font-size: 21px; letter-spacing: -.015em; font-weight: 650; }
h3 { font-size: 15px; font-weight: 620; letter-spacing: -.005em; }
h3 small { color: var(--faint); font-weight: 500; font-size: 13px; margin-left: 4px; }
ul, dl { list-style: none; padding: 0; }
.card { background: var(--card); border: 1px solid var(--edge); border-radius: 14px; box-shadow: var(--shadow); }
.mast { padding: 44px 0 26px; }
.mast .mark {
  display: flex; align-items: center; gap: 9px; color: var(--soft); font-weight: 600; font-size: 14px;
  margin-bottom: 20px;
}
.mast .mark svg { width: 22px; height: 22px; }
.mast p { color: var(--soft); margin-top: 10px; max-width: 68ch; }
.status {
  padding: 1px 9px; border-radius: 99px; font-size: 12.5px; background: var(--good-page); color: var(--good);
}
.status.bad { background: var(--bad-page); color: var(--bad); }
.status.warn { background: var(--warn-page); color: var(--warn); }
.status.busy { background: color-mix(in srgb, var(--s0) 10%, var(--card)); color: var(--s0); }
.warnings { padding: 16px 20px 17px; margin-bottom: 14px; border-left: 4px solid var(--warn); }
main > .warnings { margin-top: 0; }
.warnings h2 { font-size: 15px; color: var(--warn); }
.warnings li { margin-top: 7px; font-size: 14px; max-width: 110ch; overflow-wrap: anywhere; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(230px, 1fr)); gap: 14px; }
.tile { padding: 18px 20px 17px; }
.tile h3 { color: var(--soft); font-weight: 550; font-size: 13.5px; }
.tile .value { display: flex; align-items: baseline; flex-wrap: wrap; gap: 2px 9px; margin-top: 6px; }
.tile .value b { font-size: 34px; line-height: 1.15; letter-spacing: -.03em; font-weight: 680; }
.tile .value s { text-decoration: none; color: var(--faint); font-size: 19px; }
.tile p { color: var(--faint); font-size: 12.5px; margin-top: 6px; overflow-wrap: anywhere; }
.delta {
  font-size: 13px; font-weight: 600; padding: 1px 8px; border-radius: 99px; color: var(--soft);
  background: var(--grid);
}
.delta.good { color: var(--good); background: var(--good-page); }
.delta.bad { color: var(--bad); background: var(--bad-page); }
.facts {
  display: grid; grid-template-columns: repeat(auto-fill, minmax(150px, 1fr)); gap: 12px 22px;
  padding: 18px 20px; margin-top: 14px;
}
.facts dt { color: var(--faint); font-size: 12px; overflow-wrap: anywhere; }
.facts dd { font-size: 14px; font-weight: 550; overflow-wrap: anywhere; }
main > section { margin-top: 46px; }
main > section > header { margin-bottom: 15px; }
section > header p {
  color: var(--soft); font-size: 14px; margin-top: 2px; max-width: 78ch; overflow-wrap: anywhere;
}
.charts { display: grid; grid-template-columns: repeat(6, 1fr); gap: 14px; }
.chart { grid-column: span 2; padding: 16px 18px 14px; display: flex; flex-direction: column; min-width: 0; }
.chart.wide { grid-column: span 3; }
.chart figcaption { flex: 1; }
.chart figcaption p { color: var(--faint); font-size: 12.5px; line-height: 1.4; margin: 2px 0 14px; }
.plot { position: relative; height: 150px; padding-left: 40px; }
.wide .plot { height: 220px; }
.plot svg { width: 100%; height: 100%; display: block; overflow: visible; }
.ticks { position: absolute; left: 0; top: 0; bottom: 0; width: 34px; }
.tick {
  position: absolute; right: 0; transform: translateY(-50%); font-size: 11px; color: var(--faint);
  white-space: nowrap;
}
.steps { display: flex; justify-content: space-between; padding: 6px 0 0 40px; font-size: 11px; color: var(--faint); }
.plot path { fill: none; vector-effect: non-scaling-stroke; }
.grid { stroke: var(--grid); stroke-width: 1; }
.line { stroke-width: 2.1; stroke-linejoin: round; stroke-linecap: round; }
.raw { stroke-width: 1.2; opacity: .32; }
.dots { stroke-width: 8; stroke-linecap: round; }
path.level { stroke: var(--soft); stroke-width: 1.2; stroke-dasharray: 4 4; }
span.level { position: absolute; right: 2px; transform: translateY(-100%); font-size: 11px; color: var(--soft); }
.plot path.area { stroke: var(--card); stroke-width: .8; }
.s0 { --c: var(--s0); } .s1 { --c: var(--s1); } .s2 { --c: var(--s2); } .s3 { --c: var(--s3); }
.s4 { --c: var(--s4); } .s5 { --c: var(--s5); } .s6 { --c: var(--s6); } .s7 { --c: var(--s7); }
.line, .raw, .dots { stroke: var(--c); }
.plot path.area { fill: var(--c); }
.hover rect { fill: transparent; }
.hover path { stroke: var(--soft); stroke-width: 1; opacity: 0; }
.hover:hover path { opacity: .6; }
.legend { display: flex; flex-wrap: wrap; gap: 3px 15px; margin-top: 10px; font-size: 12.5px; color: var(--soft); }
.legend i {
  display: inline-block; width: 9px; height: 9px; border-radius: 3px; background: var(--c); margin-right: 6px;
}
.legend i.round { border-radius: 99px; }
.legend li { overflow-wrap: anywhere; min-width: 0; }
.legend b { color: var(--ink); font-weight: 600; }
.heat { padding: 16px 18px 14px; margin-top: 14px; overflow-x: auto; }
.heat p { color: var(--faint); font-size: 12.5px; margin: 2px 0 10px; max-width: 90ch; }
.heat table { width: auto; }
.heat th, .heat td { padding: 7px 12px; border: 0; }
.heat td {
  min-width: 84px; text-align: center; border: 2px solid var(--card); border-radius: 7px;
  background: color-mix(in srgb, var(--c) calc(var(--share) * 62%), var(--page));
}
.heat tbody tr:first-child { background: none; }
.matrix td.right { --c: var(--s1); } .matrix td.wrong { --c: var(--s4); }
.matrix td {
  background: color-mix(in srgb, var(--c) calc(var(--share) * 40%), var(--page)); font-weight: 620;
}
.matrix td small { color: var(--ink); font-weight: 400; font-size: 12px; }
.kinds td span { color: var(--soft); font-size: 12.5px; }
.scroll { overflow-x: auto; }
.halves { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 380px), 1fr)); gap: 14px; }
.halves { margin-top: 14px; }
.halves > .card { margin: 0; padding: 16px 18px 14px; min-width: 0; }
.halves > .card > p { color: var(--faint); font-size: 12.5px; margin: 2px 0 10px; }
.halves tbody tr:first-child { background: none; } .kinds th, .kinds td { padding: 7px 12px 7px 0; }
.kinds td .range {
  position: relative; display: block; height: 6px; border-radius: 4px; background: var(--grid); margin-top: 6px;
}
.range i, .range b, .range u { position: absolute; top: 0; bottom: 0; border-radius: 3px; }
.range i { background: color-mix(in srgb, var(--s0) 45%, var(--grid)); }
.range b { width: 3px; top: -2px; bottom: -2px; background: var(--s0); }
.range u { width: 2px; top: -3px; bottom: -3px; background: var(--ink); opacity: .55; }
.zeros { margin-top: 4px; } .zeros > summary { padding: 0; } .zeros > .charts { margin-top: 12px; }
.command {
  padding: 14px 18px; font: 13px/1.5 ui-monospace, SFMono-Regular, Menlo, monospace; white-space: pre-wrap;
  overflow-wrap: anywhere;
}
.changed { margin-top: 14px; padding: 12px 0; } .changed table { font-size: 13px; margin-top: 8px; }
.changed tbody tr:first-child { background: none; } .changed tbody th { font-size: 13px; font-weight: 500; }
.changed th, .changed td { padding: 6px 18px; overflow-wrap: anywhere; }
table { border-collapse: collapse; width: 100%; font-size: 14px; }
th { font-weight: 550; color: var(--soft); font-size: 12.5px; text-align: left; white-space: nowrap; }
th, td { padding: 10px 14px; border-bottom: 1px solid var(--edge); vertical-align: top; }
tr:last-child > * { border-bottom: 0; }
tbody th { color: var(--ink); font-size: 14px; }
tbody tr:first-child { background: color-mix(in srgb, var(--grid) 45%, transparent); }
td { min-width: 104px; } td.count { min-width: 0; color: var(--soft); }
td b { font-weight: 620; } td small { color: var(--faint); margin-left: 6px; white-space: nowrap; }
.bar {
  position: relative; display: block; height: 4px; border-radius: 4px; background: var(--grid); margin-top: 7px;
}
.bar i { position: absolute; left: 0; top: 0; bottom: 0; border-radius: 4px; background: var(--s0); }
.bar u {
  position: absolute; top: -3px; width: 2px; height: 10px; border-radius: 2px; background: var(--ink);
  opacity: .55;
}
.ranking tbody tr:first-child { background: none; }
.ranking tbody th { white-space: normal; min-width: 230px; width: 36%; }
.ranking tbody th .chip { display: inline-block; margin: 1px 5px 1px 0; overflow-wrap: anywhere; font-size: 12.5px; }
.ranking .chip b { color: var(--ink); font-weight: 600; }
.ranking .won > * { background: color-mix(in srgb, var(--good-page) 60%, transparent); }
.ranking a { color: var(--s0); }
.overlaid .chart.wide { grid-column: 1 / -1; } .overlaid .wide .plot { height: 300px; }
.ranking .failed td { color: var(--bad); }
.ranking .reason { font-size: 13px; overflow-wrap: anywhere; }
.looks { width: auto; }
.looks tbody tr:first-child { background: none; }
.looks th, .looks td { padding: 10px 7px; } .looks tr > :first-child { padding-left: 18px; }
.looks td { min-width: 158px; border: 0; text-align: center; color: var(--faint); font-size: 12px; }
.looks img { width: 144px; display: block; border-radius: 7px; }
.looks p { margin-top: 6px; width: 144px; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.dot {
  display: inline-block; width: 10px; height: 10px; border-radius: 99px; background: var(--c); margin-right: 10px;
}
.key { display: flex; flex-wrap: wrap; gap: 4px 18px; color: var(--soft); font-size: 13px; margin-top: 8px; }
.key i {
  display: inline-block; width: 14px; height: 10px; border-radius: 2px; margin-right: 7px;
  border: 2px solid var(--true);
}
.key i.said { border: 2px dashed var(--said); }
.shelf { margin-top: 26px; }
.shelf > header { margin-bottom: 11px; }
.cards { display: grid; grid-template-columns: repeat(3, 1fr); gap: 14px; }
.case { overflow: hidden; min-width: 0; display: flex; flex-direction: column; }
.pictures { display: grid; grid-auto-flow: column; grid-auto-columns: 1fr; }
.pictures figcaption { font-size: 11px; color: var(--faint); padding: 5px 14px 0; }
.pictures figure + figure .frame { box-shadow: -2px 0 0 var(--card); }
.frame { position: relative; }
.frame img { width: 100%; display: block; }
.frame svg { position: absolute; inset: 0; width: 100%; height: 100%; overflow: visible; }
.frame rect {
  fill: transparent; stroke-width: 2.4; vector-effect: non-scaling-stroke;
  filter: drop-shadow(0 0 1px rgb(0 0 0 / 75%));
}
rect.true { stroke: var(--true); } rect.said { stroke: var(--said); stroke-dasharray: 5 3.5; }
.chips { display: flex; flex-wrap: wrap; gap: 6px; padding: 10px 14px 0; }
.chip {
  font-size: 12px; font-weight: 550; padding: 1px 9px; border-radius: 99px; background: var(--grid);
  color: var(--soft);
}
.chip.good { background: var(--good-page); color: var(--good); }
.chip.bad { background: var(--bad-page); color: var(--bad); }
blockquote {
  padding: 10px 14px 0; font-size: 13.5px; line-height: 1.5; color: var(--ink); overflow-wrap: anywhere;
  max-height: 190px;
  overflow-y: auto; white-space: pre-line;
}
.faults { padding: 8px 14px 0; color: var(--bad); font-size: 12.5px; overflow-wrap: anywhere; }
details { padding-top: 9px; } summary { padding: 0 14px; font-size: 12.5px; color: var(--soft); cursor: pointer; }
details blockquote { color: var(--soft); }
.case footer {
  margin-top: auto; padding: 10px 14px 12px; color: var(--faint); font-size: 12px; overflow: hidden;
  text-overflow: ellipsis; white-space: nowrap;
}
body > footer { margin-top: 56px; color: var(--faint); font-size: 12.5px; }
@media (max-width: 1000px) {
  .chart { grid-column: span 3; } .chart.wide { grid-column: span 6; } .cards { grid-template-columns: repeat(2, 1fr); }
}
@media (max-width: 640px) {
  body { padding: 0 14px 48px; } .mast { padding: 26px 0 20px; } main > section { margin-top: 36px; }
  .chart, .chart.wide { grid-column: span 6; } .wide .plot { height: 180px; }
  .cards { grid-template-columns: 1fr; } .tiles { grid-template-columns: 1fr; gap: 10px; }
  .facts { grid-template-columns: repeat(2, minmax(0, 1fr)); }
}
@media print { body { background: none; } .card { box-shadow: none; break-inside: avoid; } }
"""

MARK = (
    '<svg viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2" aria-hidden="true">'
    '<rect x="2.5" y="2.5" width="19" height="19" rx="5"/><path d="M7 16.5 12 6.5l5 10M9 13h6" stroke-linecap="round"'
    ' stroke-linejoin="round"/></svg>'
)


def document(title: str, content: str, *, style: str = "", pictures: str = "") -> str:
    """Return a page with `content` as its body and `style` added to STYLE.

    It loads no other file, except pictures from `pictures`, a source in the words of a content security policy.
    """
    policy = POLICY.replace("data:", f"data: {pictures}") if pictures else POLICY
    note = "Its pictures are files beside it." if pictures else "The page needs no other file."
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)} · Assay</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}"><style>{STYLE}{style}</style></head><body>'
        f"{content}<footer>Written by Assay. {note}</footer></body></html>"
    )


def fact_items(facts: Mapping[str, str]) -> str:
    """Return the entries of a list of facts, by label; a long path breaks after a slash instead of inside a word.

    >>> fact_items({"Data": "parts/wood"})
    '<div><dt>Data</dt><dd>parts/<wbr>wood</dd></div>'
    """
    texts = {label: escape(text).replace("/", "/<wbr>") for label, text in facts.items()}
    return "".join(f"<div><dt>{escape(label)}</dt><dd>{text}</dd></div>" for label, text in texts.items())


def warnings_card(sentences: Sequence[str]) -> str:
    """Return the section of warnings; "" if there are none."""
    items = "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences)
    return f'<section class="card warnings"><h2>Warnings</h2><ul>{items}</ul></section>' if items else ""
