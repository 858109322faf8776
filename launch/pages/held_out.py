"""The report's section "Held-out samples": results by category and kind of defect, and what was taken for what."""

from collections.abc import Sequence
from html import escape

from launch.pages.gallery import AnswerReader
from rl.data.questions import WITH_OPTIONS
from rl.evaluation.kinds import Share, accuracy_by_kind
from rl.evaluation.metrics import Evaluation, category_metrics, evaluation_metrics
from rl.evaluation.verdicts import UNREADABLE, Confusion, confusion
from rl.roles import Metrics
from rl.types import Group, Task

COLUMNS = {
    "accuracy": "Accuracy",
    "recall": "Recall",
    "precision": "Precision",
    "mean_iou": "Mean IoU",
    "iou50": "IoU ≥ 0.5",
    "knowledge": "Right knowledge",
    "format": "Well-formed",
}
MAX_OPTIONS = 12
"""Maximum number of different options in a confusion matrix; more are usually texts of their own for each question."""
WITH_VERDICT = (Task.yes_no, Task.boxes)
"""Tasks whose answer is Yes or No."""


def held_out_section(before: Evaluation | None, after: Evaluation | None, read: AnswerReader) -> str:
    """Return the section about the latest evaluation, compared with an earlier one; "" if there was none."""
    if after is None:
        return ""
    earlier = before.groups if before else ()
    legend = f"The mark on each bar and the grey number are the value {before.time}." if before else ""
    parts = [_kinds(earlier, after.groups), *_confusions(earlier, after.groups, read)]
    return (
        "<section><header><h2>Held-out samples</h2>"
        f"<p>Greedy answers {after.time} to samples that training never saw. {legend}</p></header>"
        f'{_categories(earlier, after.groups)}<div class="halves">{"".join(parts)}</div></section>'
    )


def overall(evaluation: Evaluation | None) -> Metrics:
    """Return the metrics of all answers; {} if there are none."""
    return evaluation_metrics(evaluation.groups) if evaluation else {}


def _categories(before: Sequence[Group], after: Sequence[Group]) -> str:
    """Return the table of all metrics that any answer has, with a row for each category."""
    metrics, earlier = evaluation_metrics(after), category_metrics(before)
    columns = [name for name in COLUMNS if name in metrics]
    rows = [_row("All", columns, evaluation_metrics(before) if before else {}, metrics)]
    rows += [_row(name, columns, earlier.get(name, {}), found) for name, found in category_metrics(after).items()]
    titles = ("Category", "Samples", *(COLUMNS[name] for name in columns))
    heads = "".join(f"<th>{escape(title)}</th>" for title in titles)
    return (
        f'<div class="card scroll"><table><thead><tr>{heads}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'
    )


def _row(name: str, columns: Sequence[str], before: Metrics, after: Metrics) -> str:
    cells = "".join(_cell(before.get(column), after.get(column)) for column in columns)
    return f'<tr><th>{escape(name)}</th><td class="count">{after["samples"]:.0f}</td>{cells}</tr>'


def _cell(before: float | None, after: float | None) -> str:
    """Show a share as a number and a bar, an undefined one as a dash."""
    if after is None:
        return "<td>–</td>"
    earlier = "" if before is None else f"<small>{before:.2f}</small>"
    mark = "" if before is None else f'<u style="left:min({100 * before:.1f}%, 100% - 2px)"></u>'
    return (
        f'<td><b>{after:.2f}</b>{earlier}<span class="bar"><i style="width:{100 * after:.1f}%"></i>{mark}</span></td>'
    )


def _kinds(before: Sequence[Group], after: Sequence[Group]) -> str:
    """Return the table of accuracy by kind of defect; "" if nothing says which answers are right."""
    earlier, later = accuracy_by_kind(before), accuracy_by_kind(after)
    if not later:
        return ""
    rows = "".join(_kind_row(kind, earlier.get(kind), share) for kind, share in later.items())
    return (
        '<div class="card scroll"><h3>Accuracy by kind of defect</h3>'
        "<p>Share of right answers with its 95 % interval (Wilson), which the pale bar shows.</p>"
        '<table class="kinds"><thead><tr><th>Kind</th><th>Samples</th><th>Accuracy</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _kind_row(kind: str, before: Share | None, after: Share) -> str:
    low, high = after.interval
    earlier = f"<small>{before.value:.2f}</small>" if before else ""
    mark = f'<u style="left:min({100 * before.value:.1f}%, 100% - 2px)"></u>' if before else ""
    return (
        f'<tr><th>{escape(kind)}</th><td class="count">{after.count}</td>'
        f"<td><b>{after.value:.2f}</b> <span>{low:.2f}–{high:.2f}</span>{earlier}"
        f'<span class="range"><i style="left:{100 * low:.1f}%;width:{100 * (high - low):.1f}%"></i>'
        f'<b style="left:min({100 * after.value:.1f}%, 100% - 3px)"></b>{mark}</span></td></tr>'
    )


def _confusions(before: Sequence[Group], after: Sequence[Group], read: AnswerReader) -> list[str]:
    """Return a confusion matrix of the verdicts and one of the options, as far as the samples ask for them."""
    drawn = []
    for title, tasks in (("Truth and verdict", WITH_VERDICT), ("Truth and option", WITH_OPTIONS)):
        now = confusion(_answered(after, tasks, read))
        if now.truths and len(now.answers) <= MAX_OPTIONS:
            drawn.append(_matrix(title, confusion(_answered(before, tasks, read)), now))
    return drawn


def _answered(groups: Sequence[Group], tasks: Sequence[Task], read: AnswerReader) -> list[tuple[str, str]]:
    """Return the truth and what was answered, in words, of each sample that asks one of the tasks."""
    return [_truth_and_answer(group, read) for group in groups if group.prompt.sample.task in tasks]


def _truth_and_answer(group: Group, read: AnswerReader) -> tuple[str, str]:
    task, target = group.prompt.sample.task, group.prompt.target
    answer = read(group.completions[0].text, task, group.prompt.image_size)
    if task in WITH_VERDICT:
        return target.label, answer.verdict or UNREADABLE
    texts = target.options or {target.option: target.option}
    return texts[target.option], texts.get(answer.option or "", UNREADABLE)


def _matrix(title: str, before: Confusion, after: Confusion) -> str:
    heads = "".join(f"<th>{escape(answer)}</th>" for answer in after.answers)
    rows = "".join(_matrix_row(truth, before, after) for truth in after.truths)
    grey = " Grey numbers are those of the first evaluation." if before.truths else ""
    return (
        f'<div class="card heat matrix"><h3>{title}</h3>'
        f"<p>Number of samples by their truth (rows) and by what was answered (columns).{grey}</p>"
        f"<table><thead><tr><th></th>{heads}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _matrix_row(truth: str, before: Confusion, after: Confusion) -> str:
    total = sum(after.counts[truth, answer] for answer in after.answers)
    cells = ""
    for answer in after.answers:
        count = after.counts[truth, answer]
        earlier = f"<small>{before.counts[truth, answer]}</small>" if before.truths else ""
        kind = "right" if answer == truth else "wrong"
        cells += f'<td class="{kind}" style="--share:{count / total:.2f}">{count}{earlier}</td>'
    return f"<tr><th>{escape(truth)}</th>{cells}</tr>"
