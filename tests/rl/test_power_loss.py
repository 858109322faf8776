"""A power loss at any moment leaves the newest checkpoint that was told to be written, whole."""

import random
from pathlib import Path

import pytest

from builders.checkpoint_folders import record, write_unfinished
from builders.disk import FailingFrom, Operation, watched
from builders.power import Disk
from rl.checkpoints import checkpoint_folder, commit, newest_whole, read_intact, remove
from rl.seals import Seal, seal_all

LOSSES = 6
"""Outcomes that are tried of a power loss at each operation."""
TOLD = "told"


def content(step: int) -> bytes:
    return f"weights of step {step}".encode() * 40


def life(run: Path, log: list[Operation]) -> None:
    """Write four checkpoints, keep two, and note after which operation each was told to be written."""
    (run / "checkpoints").mkdir()
    for step in (1, 2, 3, 4):
        write_unfinished(run, step, content(step))
        commit(checkpoint_folder(run, step), record(step))
        log.append(Operation(kind=TOLD, path=str(step)))
        if step > 2:
            remove(checkpoint_folder(run, step - 2))


@pytest.fixture(scope="module")
def operations(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Operation]]:
    run = tmp_path_factory.mktemp("run")
    log: list[Operation] = []
    with watched(run, log.append):
        life(run, log)
    return run, log


def test_after_a_power_loss_at_any_operation_the_newest_told_checkpoint_is_whole(operations, tmp_path):
    run, log = operations
    rng = random.Random(0)
    for count in range(len(log) + 1):
        told = max((int(each.path) for each in log[:count] if each.kind == TOLD), default=0)
        for loss in range(LOSSES):
            left = tmp_path / f"{count}_{loss}"
            Disk(run, [each for each in log[:count] if each.kind != TOLD]).after_a_loss(left, rng)
            found, _ = newest_whole(left, read_intact)
            step = found.record.progress.step if found else 0
            assert step >= told, (count, loss, log[count - 1])
            if found:
                assert {
                    path.read_bytes() for path in found.folder.rglob("*") if path.name != "run.json" and path.is_file()
                } == {content(step)}
    print(f"figure: {len(log)} operations, {LOSSES} power losses after each")


def test_the_model_of_the_disk_loses_what_is_not_synced(tmp_path):
    run, left = tmp_path / "run", tmp_path / "left"
    run.mkdir()
    log: list[Operation] = []
    with watched(run, log.append):
        (run / "file").write_text("never synced")
    outcomes = set()
    for seed in range(50):
        Disk(run, log).after_a_loss(left / str(seed), random.Random(seed))
        outcomes.add((left / f"{seed}/file").read_text() if (left / f"{seed}/file").exists() else None)
    assert {None, "", "never synced"} <= outcomes and len(outcomes) > 4


@pytest.mark.parametrize("once", [True, False], ids=["once", "from there on"])
def test_every_operation_of_a_checkpoint_may_fail_and_the_next_try_succeeds(tmp_path, once):
    number = 0
    while True:
        number += 1
        run = tmp_path / f"{number}"
        (run / "checkpoints").mkdir(parents=True)
        write_unfinished(run, 1, content(1))
        commit(checkpoint_folder(run, 1), record(1))
        failing = FailingFrom(number, once=once)
        try:
            write_unfinished(run, 2, content(2))
            with watched(run, failing):
                commit(checkpoint_folder(run, 2), record(2))
        except OSError as error:
            assert str(run) in str(error), failing.seen[-1]
        found, _ = newest_whole(run, read_intact)
        assert found, number
        if not failing.has_failed:
            break
        write_unfinished(run, 3, content(3))
        commit(checkpoint_folder(run, 3), record(3))
        assert read_intact(checkpoint_folder(run, 3)).record.progress.step == 3
    assert number > 8


def test_seals_of_others_are_taken_as_they_are(tmp_path):
    written = write_unfinished(tmp_path, 1)
    seals = seal_all(written, [written / "state/rank_0.distcp"])
    assert seals == {"state/rank_0.distcp": Seal(bytes=7, sha256=seals["state/rank_0.distcp"].sha256)}
    commit(checkpoint_folder(tmp_path, 1), record(1), seals)
    assert read_intact(checkpoint_folder(tmp_path, 1)).record.files.keys() == {
        "state/rank_0.distcp",
        "hf/model.safetensors",
    }
