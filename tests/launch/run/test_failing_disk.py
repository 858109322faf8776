"""Each operation on a file fails in turn, once or from there on: the fault names its file, and the same act goes on."""

import errno
from collections.abc import Callable
from pathlib import Path

import pytest

from builders.disk import FailingFrom, watched
from builders.groups_with_looks import look, looked
from builders.scored_groups import group, score
from conf.schema import TrainConfig
from launch.run.answers import write_answers
from launch.run.folder import write_json
from launch.run.resume import find_start, prepare, take_over
from launch.run.rows import RowWriter, read_rows
from rl.data.pairs.journal import Journal, write_whole
from rl.evaluation.kept_maps import read_maps, write_maps
from rl.taught.reference_cache import ReferenceCache

ROWS = [{"step": 0.0, "a": 0.5}, {"step": 1.0, "a": 0.25}, {"step": 2.0, "a": 0.125}]
CONFIG = TrainConfig(resume="auto", num_steps=4)
GROUPS = [looked(group([score()], number=number), look(rdam=[[0.1, 0.2], [0.3, 0.4]])) for number in range(3)]


def rows(folder: Path) -> object:
    """Record a run anew, whatever an earlier one left."""
    prepare(folder, None, print)
    writer = RowWriter(folder, read_rows(folder))
    for row in ROWS:
        writer.write(row)
    writer.sync()
    writer.close()
    return read_rows(folder)


def journal(folder: Path) -> object:
    with Journal(folder / "selection.jsonl") as lines:
        for number in range(len(lines.lines), 4):
            lines.add({"id": number})
    write_whole(folder / "pairs.jsonl", Journal(folder / "selection.jsonl").lines)
    return (folder / "pairs.jsonl").read_bytes()


def cache(folder: Path) -> object:
    found = ReferenceCache(folder / "cache/reference.jsonl")
    for key in ("a", "b"):
        if key not in found:
            found.add({key: ((0.5, 0.25),)})
    again = ReferenceCache(folder / "cache/reference.jsonl")
    return again["a"], again["b"]


def evaluation(folder: Path) -> object:
    write_answers(folder / "samples/heldout_step_0.jsonl", GROUPS)
    write_maps(folder / "samples/maps_step_0.npz", GROUPS)
    write_json(folder / "summary.json", {"steps": 3})
    maps = read_maps(folder / "samples/maps_step_0.npz")
    texts = [(folder / name).read_bytes() for name in ("samples/heldout_step_0.jsonl", "summary.json")]
    return texts, {name: kept.heat.tolist() for name, kept in maps.items()}


def start(folder: Path) -> object:
    """Begin a run anew in a folder where another one was killed."""
    (folder / "checkpoints/.step_2.epoch_1.unfinished/state").mkdir(parents=True, exist_ok=True)
    start = find_start(CONFIG, folder, print)
    take_over(folder)
    prepare(folder, start, print)
    return (folder / "metrics.jsonl").read_bytes(), sorted(path.name for path in (folder / "checkpoints").iterdir())


ACTS = [rows, journal, cache, evaluation, start]


def outcome(act: Callable[[Path], object], folder: Path, failing: FailingFrom) -> str:
    """Return the message of the fault that the act ends with; "" if it succeeds."""
    try:
        with watched(folder, failing):
            act(folder)
    except OSError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("once", [True, False], ids=["once", "from there on"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO], ids=errno.errorcode.get)
@pytest.mark.parametrize("act", ACTS, ids=lambda act: act.__name__)
def test_whatever_operation_fails_is_named_and_the_same_act_goes_on(tmp_path: Path, act, code: int, once: bool):
    expected = act(made(tmp_path / "straight"))
    for number in range(1, 200):
        folder = made(tmp_path / str(number))
        failing = FailingFrom(number, code, once=once)
        fault = outcome(act, folder, failing)
        if not failing.has_failed:
            break
        if fault:
            assert str(folder) in fault, (number, failing.seen[-1])
        assert act(folder) == expected, (number, failing.seen[-1])
    assert 3 < number < 199


def made(folder: Path) -> Path:
    folder.mkdir()
    return folder
