"""The page of `assay pairs`, made from the run folder."""

from collections.abc import Mapping, Sequence
from typing import Any

from conf.schema import PairsConfig
from launch.pairs.folder import PairsFolder
from launch.pairs.page import Example, PairsRecord, Selected, page
from launch.run.folder import REPORT, write_whole
from rl.data.config import Choice
from rl.data.pairs.config import selects
from rl.data.pairs.journal import Line

NUM_EXAMPLES = 3


def write_pairs_report(folder: PairsFolder, config: PairsConfig, summary: Mapping[str, Any]) -> None:
    """Write report.html."""
    pairs = folder.pairs()
    record = PairsRecord(
        title=folder.path.name,
        facts=_facts(config, summary),
        num_samples=len(folder.samples),
        num_kept=len(folder.kept),
        num_pairs=len(pairs),
        unanswered=folder.selection_counts()["unanswered"],
        margin=config.pairs.margin if selects(config.pairs) else None,
        selected=[
            Selected(p_right=line["p_right"], num_options=line["num_options"], kept=line["kept"])
            for line in folder.selection.lines
            if line["answered"]
        ],
        refused=folder.refused(),
        left_out=folder.rejected(),
        examples=_examples(folder, pairs),
        failed=summary.get("failed", ""),
        stopped=summary.get("stopped", ""),
    )
    write_whole(folder.path / REPORT, page(record))


def _facts(config: PairsConfig, summary: Mapping[str, Any]) -> dict[str, str]:
    pairs, knowledge = config.pairs, config.data.knowledge
    asked = f"{config.model.path}, {pairs.num_answers} answers a sample" if selects(pairs) else "nobody"
    return {
        "Data": config.data.root,
        "Knowledge": knowledge.file,
        "Offered": f"1 right and {knowledge.num_wrong} wrong, {knowledge.wrong.name}",
        "Wrong knowledge": "the nearest of these" if pairs.wrong is Choice.deceptive else "any of these",
        "Asked for its doubts": asked,
        "Written by": pairs.teacher.name,
        "Seed": str(config.seed),
        "Duration": f"{summary['seconds']:g} s",
    }


def _examples(folder: PairsFolder, pairs: Sequence[Line]) -> list[Example]:
    """Choose pairs of different right options first, then others."""
    known = {sample.id: sample for sample in folder.samples}
    seen: set[str] = set()
    first: list[Line] = []
    others: list[Line] = []
    for line in pairs:
        target = known[line["id"]].target
        right = target.options[target.option]
        if right in seen:
            others.append(line)
        else:
            first.append(line)
        seen.add(right)
    return [
        Example(sample=known[line["id"]], chosen=line["chosen"], rejected=line["rejected"], p_right=line["p_right"])
        for line in [*first, *others][:NUM_EXAMPLES]
    ]
