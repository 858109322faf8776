import re
from collections.abc import Sequence
from html.parser import HTMLParser

import pytest

from launch.pages.sweep_page import NAMED, columns_of, sweep_page
from launch.run.members import Member


class Words(HTMLParser):
    """Words and links of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.words = ""
        self.links: list[str | None] = []
        self.feed(text)

    def handle_data(self, data: str) -> None:
        self.words += data + " "

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.links.append(dict(attrs)["href"])


def member(number: int, **changes) -> Member:
    rows = [{"step": step, "time_s": 1.0, "reward/mean": 1.0 + number + step / 10} for step in range(4)]
    values = {"number": number, "name": f"lr={number}", "varied": {"algo.lr": str(number)}, "rows": rows}
    entries = {"reward_last": 2.5 - number / 10, "reward_first": 1.25, "seconds": 75.0}
    return Member(**{**values, "entries": entries, "failed": "", "report": True, **changes})


def words(members: Sequence[Member], rank_by: str = "reward_last") -> str:
    return re.sub(r"\s+", " ", Words(sweep_page("spring", members, rank_by)).words)


def test_the_page_ranks_the_members_and_has_best_median_and_worst() -> None:
    shown = words([member(0), member(1), member(2)])
    assert "3 runs, ranked by reward_last ; higher is better." in shown
    assert "Best reward 2.500 lr=0" in shown and "Median reward 2.400" in shown and "Worst reward 2.300 lr=2" in shown
    assert "1 algo.lr= 0 2.500 1.250 0:01:15 0" in shown


def test_a_failed_member_shows_its_sentence_instead_of_numbers() -> None:
    shown = words([member(0), member(1, failed="learner 1 <died> & went", entries={})])
    assert "1 failed" in shown and "✗ algo.lr= 1 learner 1 <died> & went 1" in shown


def test_a_members_texts_are_escaped() -> None:
    hostile = "<script>alert(1)</script>"
    page = sweep_page(hostile, [member(0, name=hostile, varied={hostile: hostile}, failed=hostile)], hostile)
    assert "<script" not in page and "&lt;script&gt;" in page


def test_a_page_loads_nothing_and_runs_nothing() -> None:
    page = sweep_page("spring", [member(0)], "reward_last")
    assert "default-src 'none'" in page and not re.search(r"(src|href)=\"(https?:)?//", page)


def test_only_reports_that_exist_are_linked() -> None:
    page = Words(sweep_page("spring", [member(0), member(1, report=False)], "reward_last"))
    assert page.links == ["0/report.html"]


def test_reward_curves_lie_over_each_other_best_first_in_the_legend() -> None:
    page = sweep_page("spring", [member(1), member(0)], "reward_last")
    legend = re.search(r'<ul class="legend">(.*?)</ul>', page)
    assert legend and re.findall(r"lr=\d", legend[1]) == ["lr=1", "lr=0"]
    assert page.index('class="line s1"') < page.index('class="line s0"')


def test_members_beyond_the_colours_are_grey_and_not_in_the_legend() -> None:
    page = sweep_page("spring", [member(number) for number in range(NAMED + 3)], "reward_last")
    assert page.count(f'class="line s{NAMED}"') == 3
    legend = re.search(r'<ul class="legend">(.*?)</ul>', page)
    assert legend and legend[1].count("<li>") == NAMED


def test_held_out_curves_need_more_than_two_evaluations() -> None:
    rows = [{"step": step, "eval/heldout/accuracy": 0.5} for step in range(3)]
    assert "Greedy answers" in words([member(0, rows=rows)])
    assert "Greedy answers" not in words([member(0, rows=rows[:2])])


def test_a_sweep_of_failures_before_the_first_step_is_still_a_page() -> None:
    shown = words([member(0, failed="no data", rows=(), entries={})])
    assert "no data" in shown and "No training step was recorded." in shown


@pytest.mark.parametrize("rank_by", ["reward_last", "parity_mean"])
def test_the_ranking_entry_is_the_first_column_and_no_other(rank_by: str) -> None:
    entries = [column.entry for column in columns_of([member(0)], rank_by)]
    assert entries[0] == rank_by and len(set(entries)) == len(entries)
    assert "seconds" in entries and "heldout_after.accuracy" not in entries
