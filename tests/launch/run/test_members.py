import json
from pathlib import Path

import pytest

from launch.command.member_files import fail_member
from launch.run.members import (
    NO_SUMMARY,
    Member,
    has_ended,
    ranked,
    read_members,
    read_summary,
    short_keys,
    sweep_table,
    varied_overrides,
)


def write_member(folder: Path, number: int, overrides: list[str], summary: dict | None, rows: str = "") -> None:
    own = folder / str(number)
    own.mkdir(parents=True)
    (own / "overrides.json").write_text(json.dumps(overrides))
    if summary is not None:
        (own / "summary.json").write_text(json.dumps(summary))
    if rows:
        (own / "metrics.jsonl").write_text(rows)


def member(number: int, reward: float | None, failed: str = "") -> Member:
    entries = {"steps": 2} if reward is None else {"steps": 2, "reward_last": reward}
    name = f"seed={number}"
    return Member(
        number=number,
        name=name,
        varied={"seed": str(number)},
        entries=entries,
        rows=(),
        failed=failed,
        report=False,
    )


def test_members_are_read_by_number_and_named_by_what_differs(tmp_path: Path) -> None:
    for number in (10, 2):
        overrides = ["experiment=demo", f"algo.lr=1e-{number}", "output=sweep"]
        write_member(tmp_path, number, overrides, {"heldout_after": {"accuracy": number / 100}})
    (tmp_path / "notes").mkdir()
    first, second = read_members(tmp_path)
    assert (first.number, first.name, first.varied) == (2, "lr=1e-2", {"algo.lr": "1e-2"})
    assert (second.number, second.entries) == (10, {"heldout_after.accuracy": 0.1})
    assert not first.failed and not first.report


def test_a_failed_and_a_killed_member_have_their_sentences(tmp_path: Path) -> None:
    write_member(tmp_path, 0, ["seed=0"], {"steps": 3, "failed": "learner 1 died"}, '{"step": 0, "reward/mean": 1.0}\n')
    write_member(tmp_path, 1, ["seed=1"], None, '{"step": 0, "reward/mean": 2.0}\n{"step": 1, "rew')
    (tmp_path / "2").mkdir()
    first, second, third = read_members(tmp_path)
    assert first.failed == "learner 1 died" and len(first.rows) == 1
    assert second.failed == third.failed == NO_SUMMARY
    assert second.rows == [{"step": 0, "reward/mean": 2.0}]
    assert third.name == "run 2"


def test_a_summary_that_was_cut_off_is_none(tmp_path: Path) -> None:
    write_member(tmp_path, 0, ["seed=0"], {})
    (tmp_path / "0/summary.json").write_text('{"steps": 3')
    assert read_members(tmp_path)[0].failed == NO_SUMMARY


@pytest.mark.parametrize("text", ["", '{"steps": 3', "3", "null", "[]"])
def test_a_summary_that_is_no_whole_object_tells_of_no_end(text: str, tmp_path: Path) -> None:
    (tmp_path / "summary.json").write_text(text)
    assert not has_ended(tmp_path) and read_summary(tmp_path) == {"failed": NO_SUMMARY}
    fail_member(tmp_path, "out of memory")
    assert has_ended(tmp_path) and read_summary(tmp_path) == {"failed": "out of memory"}


def test_a_summary_that_says_running_is_that_of_a_killed_or_running_member(tmp_path: Path) -> None:
    write_member(tmp_path, 0, ["seed=0"], None)
    assert not has_ended(tmp_path / "0")
    began = {"since": "2026-01-31T12:00:00+00:00", "pid": 7, "host": "node1"}
    (tmp_path / "0/summary.json").write_text(json.dumps({"running": began}))
    (read,) = read_members(tmp_path)
    assert not has_ended(tmp_path / "0") and read.entries == {}
    assert read.failed == (
        "was killed or still runs: it began 2026-01-31T12:00:00+00:00 as process 7 on node1 and has not said how it "
        "ended"
    )
    fail_member(tmp_path / "0", "out of memory")
    fail_member(tmp_path / "0", "another reason")
    assert has_ended(tmp_path / "0") and read_members(tmp_path)[0].failed == "out of memory"


def test_a_folder_without_members_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no member of a sweep; give the folder that"):
        read_members(tmp_path)


def test_the_last_of_equal_keys_counts_and_equal_values_name_nobody() -> None:
    assert varied_overrides([["seed=0", "seed=1", "a=2"], ["seed=1", "a=3"]]) == [{"a": "2"}, {"a": "3"}]


def test_a_key_that_only_one_member_gives_differs() -> None:
    assert varied_overrides([["algo=grpo"], ["algo=grpo", "seed=3"]]) == [{}, {"seed": "3"}]


def test_a_key_that_ends_another_keeps_its_whole_path() -> None:
    assert short_keys(["seed", "data.seed"]) == {"seed": "seed", "data.seed": "data.seed"}


def test_best_first_then_the_unmeasured_then_the_failed() -> None:
    members = [member(0, None), member(1, 3.0, failed="killed"), member(2, 1.0), member(3, 2.0)]
    assert [one.number for one in ranked(members, "reward_last")] == [3, 2, 0, 1]


def test_equal_members_stay_in_their_order() -> None:
    assert [one.number for one in ranked([member(number, 1.0) for number in range(3)], "reward_last")] == [0, 1, 2]


def test_an_entry_that_no_summary_holds_is_answered_with_those_there_are() -> None:
    with pytest.raises(ValueError) as caught:
        ranked([member(0, 1.0), member(1, 2.0, failed="killed")], "reward")
    assert (
        str(caught.value)
        == "reward, which should rank the sweep, is in no member's summary.json; there are reward_last, steps"
    )


def test_a_sweep_whose_members_all_failed_is_ranked_all_the_same() -> None:
    assert len(ranked([member(0, None, failed="a"), member(1, None, failed="b")], "reward_last")) == 2


def test_the_table_has_a_column_for_each_override_and_number() -> None:
    first, last = sweep_table([member(4, 2.5), member(1, None, failed="killed")], "reward_last")
    assert list(first.items()) == [
        ("place", 1),
        ("member", 4),
        ("seed", "4"),
        ("reward_last", 2.5),
        ("steps", 2),
        ("failed", ""),
    ]
    assert (last["place"], last["reward_last"], last["failed"]) == ("", "", "killed")
