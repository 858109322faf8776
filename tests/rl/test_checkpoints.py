"""Checkpoints on disk: a named one is whole, a damaged one is skipped, and the best and newest are kept."""

import json
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders.checkpoint_folders import STATE_FILE, damage, names, record, write_checkpoint, write_unfinished
from rl.checkpoints import (
    CheckpointConfig,
    Progress,
    checkpoint_folder,
    clear_unfinished,
    commit,
    newest_whole,
    read_checkpoint,
    read_intact,
    remove,
    step_folders,
    step_of,
    surplus,
)
from rl.epochs import claim_epoch
from rl.faults import RunFailure, UserError
from rl.seals import Seal


def test_a_checkpoint_has_its_record_before_its_name(tmp_path, monkeypatch):
    written = write_unfinished(tmp_path, 3)
    renames = []
    rename = Path.rename

    def watched(self: Path, target: Path) -> Path:
        renames.append((self == written, (self / "run.json").is_file(), target.exists()))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", watched)
    commit(checkpoint_folder(tmp_path, 3), record(3))
    assert renames == [(True, True, False)]
    assert names(tmp_path) == ["step_3"]


def test_a_record_reads_back_with_the_seal_of_every_file(tmp_path):
    folder = write_checkpoint(tmp_path, 3, metrics_bytes=17, wandb_id="abc", model="f00d")
    found = read_checkpoint(folder)
    assert found.folder == folder
    assert found.record.progress == Progress(step=3, position=9)
    digest = "9a129038d9a00aed0cf6a7ea059ca50a813449061ab87848cf1a13eafdf33b2c"
    sizes = {name: Seal(bytes=7, sha256=digest) for name in (STATE_FILE, "hf/model.safetensors")}
    assert found.record == record(3, metrics_bytes=17, wandb_id="abc", model="f00d", files=sizes)
    assert abs(json.loads((folder / "run.json").read_text())["written_at"] - time.time()) < 60


def without_record(folder: Path) -> None:
    (folder / "run.json").unlink()


def with_half_a_record(folder: Path) -> None:
    text = (folder / "run.json").read_text()
    (folder / "run.json").write_text(text[: len(text) // 2])


def with_a_record_of_something_else(folder: Path) -> None:
    (folder / "run.json").write_text("[]")


def with_a_field_that_is_unknown(folder: Path) -> None:
    text = (folder / "run.json").read_text()
    (folder / "run.json").write_text(text.replace("data_hash", "hash_of_data"))


def with_a_record_that_is_no_text(folder: Path) -> None:
    (folder / "run.json").write_bytes(b"\xff\xfe\x00{")


def without_a_file(folder: Path) -> None:
    (folder / STATE_FILE).unlink()


DAMAGES = {
    without_record: "no checkpoint, it has no run.json",
    with_half_a_record: "not a record of a checkpoint",
    with_a_record_of_something_else: "not a record of a checkpoint",
    with_a_field_that_is_unknown: "not a record of a checkpoint",
    with_a_record_that_is_no_text: "not a record of a checkpoint",
    without_a_file: f"not whole, {STATE_FILE} is missing",
    damage: f"not whole, {STATE_FILE} has 3 bytes of 7",
}


@pytest.mark.parametrize("break_it", DAMAGES, ids=lambda act: act.__name__)
def test_a_damaged_checkpoint_is_skipped_with_the_reason(tmp_path, break_it):
    whole, broken = write_checkpoint(tmp_path, 9), write_checkpoint(tmp_path, 10)
    break_it(broken)
    with pytest.raises(ValueError, match=DAMAGES[break_it]):
        read_checkpoint(broken)
    found, (fault,) = newest_whole(tmp_path)
    assert found and found.folder == whole
    assert str(broken) in fault and DAMAGES[break_it] in fault and "\n" not in fault


def flipped(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 0x10
    path.write_bytes(content)


def test_every_flipped_byte_of_every_file_is_seen_or_harmless(tmp_path):
    folder = write_checkpoint(tmp_path, 5)
    before = read_intact(folder)
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        for place in range(path.stat().st_size):
            flipped(path, place)
            try:
                # A space that became another one.
                assert read_intact(folder) == before
                assert path.name == "run.json"
            except UserError as error:
                assert str(folder) in str(error) and "\n" not in str(error)
            flipped(path, place)
    assert read_intact(folder) == before


def test_a_checkpoint_with_a_flipped_byte_is_passed_over_for_an_older_one(tmp_path):
    whole, broken = write_checkpoint(tmp_path, 9), write_checkpoint(tmp_path, 10)
    flipped(broken / STATE_FILE, 3)
    found, (fault,) = newest_whole(tmp_path, read_intact)
    assert found and found.folder == whole
    assert f"{broken}: the checkpoint is not whole, {STATE_FILE} is not what was written" in fault


def test_a_file_of_another_checkpoint_is_seen(tmp_path):
    here, there = write_checkpoint(tmp_path / "a", 5), write_checkpoint(tmp_path / "b", 5, content=b"lighter")
    (here / STATE_FILE).write_bytes((there / STATE_FILE).read_bytes())
    with pytest.raises(UserError, match="its digest differs"):
        read_intact(here)


def test_a_checkpoint_of_version_0_1_is_refused_with_the_reason(tmp_path):
    folder = write_checkpoint(tmp_path, 5)
    told = json.loads((folder / "run.json").read_text())
    del told["sha256"]
    (folder / "run.json").write_text(json.dumps(told))
    with pytest.raises(UserError, match=r"it has no digest; version 0\.1 wrote none"):
        read_checkpoint(folder)


def test_a_process_that_was_replaced_commits_nothing_more(tmp_path):
    old = claim_epoch(tmp_path)
    write_unfinished(tmp_path, 3, epoch=old)
    new = claim_epoch(tmp_path)
    with pytest.raises(RunFailure, match="another process has gone on with this run since"):
        commit(checkpoint_folder(tmp_path, 3), record(3, epoch=old))
    assert step_folders(tmp_path) == []
    write_unfinished(tmp_path, 3, epoch=new)
    commit(checkpoint_folder(tmp_path, 3), record(3, epoch=new))
    assert read_intact(checkpoint_folder(tmp_path, 3)).record.epoch == new == old + 1


def test_what_an_old_process_had_begun_cannot_get_a_name_once_it_is_cleared(tmp_path):
    old = claim_epoch(tmp_path)
    write_unfinished(tmp_path, 3, epoch=old)
    new = claim_epoch(tmp_path)
    clear_unfinished(tmp_path)
    write_unfinished(tmp_path, 3, epoch=new)
    with pytest.raises(FileNotFoundError):
        commit(checkpoint_folder(tmp_path, 3), record(3, epoch=old))
    assert names(tmp_path) == [f".step_3.epoch_{new}.unfinished"]


def test_a_checkpoint_of_a_folder_that_is_not_there_is_refused_as_such(tmp_path):
    with pytest.raises(ValueError, match=f"^there is no folder '{tmp_path}/mine'; give a run folder or its checkp"):
        read_checkpoint(tmp_path / "mine")


def test_an_unfinished_checkpoint_is_ignored(tmp_path):
    write_unfinished(tmp_path, 10)
    assert step_folders(tmp_path) == []
    assert newest_whole(tmp_path) == (None, [])


def test_a_run_without_checkpoints_has_no_newest(tmp_path):
    assert newest_whole(tmp_path / "nowhere") == (None, [])


def test_checkpoints_are_ordered_by_number_and_other_folders_ignored(tmp_path):
    for step in (9, 100, 20):
        write_checkpoint(tmp_path, step)
    (tmp_path / "checkpoints/step_best").mkdir()
    (tmp_path / "checkpoints/mine").mkdir()
    assert [step_of(folder) for folder in step_folders(tmp_path)] == [9, 20, 100]


def test_a_damaged_folder_of_the_same_name_is_replaced(tmp_path):
    damage(write_checkpoint(tmp_path, 5))
    folder = write_checkpoint(tmp_path, 5)
    assert read_checkpoint(folder).folder == folder
    assert names(tmp_path) == ["step_5"]


def test_a_removed_checkpoint_leaves_nothing_behind(tmp_path):
    remove(write_checkpoint(tmp_path, 5))
    assert names(tmp_path) == []


def test_leftovers_of_a_killed_run_are_deleted(tmp_path):
    whole = write_checkpoint(tmp_path, 1)
    write_checkpoint(tmp_path, 2).rename(tmp_path / "checkpoints/.step_2.removed")
    write_unfinished(tmp_path, 3)
    clear_unfinished(tmp_path)
    clear_unfinished(tmp_path / "nowhere")
    assert names(tmp_path) == [whole.name]


def kept(steps: list[int], scores: dict[int, float], **config: int) -> list[int]:
    folders = [checkpoint_folder(Path("run"), step) for step in steps]
    gone = surplus(folders, scores, CheckpointConfig(**config))
    return [step_of(folder) for folder in folders if folder not in gone]


def test_the_newest_and_the_best_are_kept():
    scores = {10: 0.2, 20: 0.9, 30: 0.4, 40: 0.5, 50: 0.3}
    assert kept([10, 20, 30, 40, 50], scores, keep_last=2, keep_best=1) == [20, 40, 50]
    assert kept([10, 20, 30, 40, 50], scores, keep_last=1, keep_best=2) == [20, 40, 50]
    assert kept([10, 20, 30, 40, 50], scores, keep_last=3, keep_best=0) == [30, 40, 50]


def test_fewer_checkpoints_than_keep_last_are_all_kept():
    assert kept([10, 20], {}, keep_last=3, keep_best=0) == [10, 20]


def test_of_equal_scores_the_later_checkpoint_is_kept():
    assert kept([10, 20, 30, 40], {10: 0.5, 20: 0.5, 30: 0.1}, keep_last=1, keep_best=1) == [20, 40]


def test_a_checkpoint_without_a_score_is_not_among_the_best():
    assert kept([10, 20, 30], {}, keep_last=1, keep_best=5) == [30]


STEPS = st.lists(st.integers(1, 1000), unique=True, max_size=12).map(sorted)


@given(STEPS, st.data(), st.integers(1, 5), st.integers(0, 5))
def test_exactly_the_newest_and_the_best_are_kept(steps, data, keep_last, keep_best):
    values = st.dictionaries(st.sampled_from(steps), st.sampled_from([0.0, 0.25, 0.5, 1.0])) if steps else st.just({})
    scores = data.draw(values)
    stay = kept(steps, scores, keep_last=keep_last, keep_best=keep_best)
    best = sorted(scores, key=lambda step: (-scores[step], -step))[:keep_best]
    assert set(stay) == set(steps[-keep_last:]) | set(best)
