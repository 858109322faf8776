"""The pages of trainings, sweeps and chains in a real browser: nothing is cut off or too faint to read."""

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from builders.browser import browser, opened
from builders.groups_with_looks import look, looked
from builders.scored_groups import NO, YES, completion, group, score
from launch.pages.chain_page import StageRow, chain_page
from launch.pages.provenance import Provenance
from launch.pages.report import RunRecord, write_report
from launch.pages.sweep_page import sweep_page
from launch.run.members import Member
from rewards.answers.parse import parse_answer
from rl.evaluation.kept_maps import maps_file, write_maps
from rl.evaluation.metrics import Evaluation
from rl.types import Group

pytestmark = pytest.mark.skipif(not browser(), reason="no chromium or google-chrome is installed to open the page")
LONG = "of_a_very_long_name_without_any_place_to_break_it_at_all"
ENTRIES = {"reward_last": 2.5, "heldout_after.accuracy": 0.9, "heldout_before.accuracy": 0.8, "seconds": 75.0}
ROWS = [
    {
        "step": step,
        "reward/mean": 1 + step / 10,
        "reward/box/mean": step / 20,
        f"reward/{LONG}/mean": 0.5,
        f"reward/correlation/box_{LONG}": 0.9,
        "actor/kl": 0.0,
        "actor/entropy": 0.5,
        "time/step": 2.0,
        "time/rollout": 1.0,
    }
    for step in range(1, 21)
]


def answers(folder: Path) -> list[Group]:
    picture = folder / "part.png"
    Image.new("RGB", (60, 40), (90, 90, 90)).save(picture)
    texts = [YES, NO, "Hm."] * 3
    made = [
        group(
            [score(text != "Hm.", text != "Hm.", 1.0)],
            [completion(text)],
            boxes=((2.0, 2.0, 6.0, 6.0),) if text == YES else (),
            category=f"plate_{LONG}",
            number=number,
            images=(picture, picture),
        )
        for number, text in enumerate(texts)
    ]
    return [looked(each, look(0.5, rdam=[[1.0, 0.0]])) for each in made]


def report(folder: Path) -> Path:
    groups = answers(folder)
    write_maps(maps_file(folder, 0), groups)
    plain = tuple(replace(each, looks=()) for each in groups)
    record = RunRecord(
        title="demo",
        overrides=[f"{LONG}=1", "seed=3"],
        facts={"Model": f"models/{LONG}", "Data": "many samples", "Hardware": "4 CPU cores (Fast 9) on 1 machine"},
        rows=[{"step": 0, "eval/heldout/samples": 9.0}, *ROWS],
        evaluations=[Evaluation(step=0, groups=plain), Evaluation(step=20, groups=plain)],
        summary={"steps": 20, "seconds": 75.0, "parity_mean": 8e-7, "overhead": 0.134, "core_hours": 0.1},
        reward_range=(0.0, 3.0),
        running="At step 12 of 20.",
        warnings=[f"reward {LONG} has saturated"],
        provenance=Provenance(
            command=f"assay train {LONG}=1",
            folder=f"runs/{LONG}",
            versions={"code": "0123456789ab, modified", "torch": "2.13.0+cpu"},
            changed=[("model.path", "", f"models/{LONG}")],
        ),
    )
    return write_report(folder, record, parse_answer)


def sweep(folder: Path) -> Path:
    def member(number: int, failed: str = "") -> Member:
        varied = {"algo.lr": "1e-5", LONG: str(number)}
        return Member(number=number, name=LONG, varied=varied, entries=ENTRIES, rows=ROWS, failed=failed, report=True)

    page = folder / "sweep.html"
    page.write_text(sweep_page("spring", [*map(member, range(8)), member(8, f"{LONG} died")], "reward_last"))
    return page


def chain(folder: Path) -> Path:
    rows = [StageRow(name=LONG, folder=f"1_{LONG}", entries=ENTRIES, done=True, report=True)]
    page = folder / "chain.html"
    page.write_text(chain_page("spring", rows, "stage two: stopped by Ctrl-C"))
    return page


@pytest.mark.parametrize("written", [report, sweep, chain])
def test_a_page_fits_a_phone_and_can_be_read_in_both_themes(tmp_path: Path, written) -> None:
    with opened(written(tmp_path)) as tab:
        # What is folded away has to be readable too.
        tab.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
        for width, theme in ((1400, "light"), (1400, "dark"), (400, "light"), (400, "dark")):
            tab.show(width, theme)
            assert (width, theme, tab.overflow(), tab.dim_texts()) == (width, theme, 0, {})
        assert tab.complaints == []
