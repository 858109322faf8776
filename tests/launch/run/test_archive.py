"""When checkpoints are written and which stay, with plain classes in place of the learners and the tracker."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from builders.checkpoint_folders import damage, names, write_checkpoint, write_unfinished
from builders.locked_folders import place
from launch.run.archive import RunArchive
from launch.run.rows import Written
from launch.run.space import RESERVE_BYTES
from rl.checkpoints import CheckpointConfig, Progress, Record, commit, read_checkpoint, step_of
from rl.faults import RunFailure


@dataclass
class Learners:
    """Write a checkpoint while training goes on: it has its name when the next one is taken or they are asked."""

    run: Path
    taken: list[Record] = field(default_factory=list)
    num_bytes: int = 0
    """Size of a checkpoint."""
    _writing: tuple[Path, Record] | None = None

    async def save(self, folder: Path, record: Record) -> None:
        await self.finish_saving()
        self.taken.append(record)
        write_unfinished(self.run, step_of(folder))
        self._writing = folder, record

    async def checkpoint_bytes(self) -> int:
        return self.num_bytes

    async def finish_saving(self) -> None:
        if self._writing:
            commit(*self._writing)
            self._writing = None


@dataclass
class Recorder:
    """The state of the tracker: rows, and the length of metrics.jsonl."""

    rows: list[dict[str, float]] = field(default_factory=list)
    metrics_bytes: int = 0
    wandb_id: str = "w1"

    def synced_metrics(self) -> Written:
        return Written(num_bytes=self.metrics_bytes, chain="c1")

    def evaluated(self, step: int, accuracy: float) -> None:
        self.rows.append({"step": step, "eval/heldout/accuracy": accuracy})


@dataclass
class Scene:
    """A run of so many steps whose checkpoints are watched."""

    run: Path
    recorder: Recorder = field(default_factory=Recorder)

    def __post_init__(self) -> None:
        self.learners = Learners(run=self.run)

    def archive(self, first: int = 0, num_steps: int = 10, **config: int | str) -> RunArchive:
        facts = {"epoch": 1, "data_hash": "d1", "config": {"seed": 1}}
        options = CheckpointConfig(**config)
        steps = range(first, num_steps)
        return RunArchive(place(self.run), options, self.learners, self.recorder, facts=facts, steps=steps)

    @property
    def steps_taken(self) -> list[int]:
        return [record.progress.step for record in self.learners.taken]


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def go(archive: RunArchive, steps: range, recorder: Recorder | None = None, scores: dict[int, float] | None = None):
    """A run through these steps to its end, evaluated after some of them."""

    async def run() -> None:
        for step in steps:
            await archive.keep(Progress(step=step, position=2 * step))
            if recorder and scores and step in scores:
                recorder.evaluated(step, scores[step])
        await archive.close()

    asyncio.run(run())


def test_checkpoints_are_taken_when_due_and_at_the_end(scene):
    go(scene.archive(every=4), range(1, 11))
    assert scene.steps_taken == [4, 8, 10]


def test_without_an_interval_there_is_one_at_the_end(scene):
    go(scene.archive(every=0), range(1, 11))
    assert scene.steps_taken == [10]
    assert names(scene.run) == ["step_10"]


def test_a_record_says_where_the_run_stood(scene):
    scene.recorder.metrics_bytes = 77
    go(scene.archive(), range(1, 11))
    found = read_checkpoint(scene.run / "checkpoints/step_10").record
    assert (found.progress, found.policy_version) == (Progress(step=10, position=20), 10)
    assert (found.metrics_bytes, found.metrics_chain, found.wandb_id) == (77, "c1", "w1")
    assert (found.data_hash, found.config) == ("d1", {"seed": 1})


def test_now_takes_one_that_is_not_due(scene):
    archive = scene.archive(every=4)

    async def run() -> None:
        await archive.keep(Progress(step=3, position=6))
        await archive.keep(Progress(step=3, position=6), now=True)
        await archive.close()

    asyncio.run(run())
    assert scene.steps_taken == [3]


def test_a_step_is_not_kept_twice(scene):
    archive = scene.archive(every=4)

    async def run() -> None:
        await archive.keep(Progress(step=4, position=8))
        await archive.keep(Progress(step=4, position=8), now=True)
        await archive.close()

    asyncio.run(run())
    assert scene.steps_taken == [4]


@pytest.mark.parametrize("first", [0, 4])
def test_a_stop_before_the_first_new_step_takes_none(scene, first):
    archive = scene.archive(first=first, every=4)

    async def run() -> None:
        await archive.keep(Progress(step=first, position=2 * first), now=True)
        # The checkpoint that the run goes on from may lie in another run's folder.
        await archive.close()

    asyncio.run(run())
    assert scene.steps_taken == []


def test_the_newest_stay(scene):
    go(scene.archive(every=2, keep_last=2, keep_best=0), range(1, 11))
    assert names(scene.run) == ["step_10", "step_8"]


def test_the_best_by_the_metric_at_the_checkpoints_step_stays(scene):
    scores = {2: 0.3, 3: 1.0, 4: 0.9, 6: 0.5, 8: 0.1, 10: 0.2}
    go(scene.archive(every=2, keep_last=1, keep_best=1), range(1, 11), scene.recorder, scores)
    assert names(scene.run) == ["step_10", "step_4"]


def test_the_best_may_be_chosen_by_any_metric(scene):
    for step in range(1, 11):
        scene.recorder.rows.append({"step": step, "reward/mean": -abs(step - 6.0)})
    go(scene.archive(every=2, keep_last=1, keep_best=1, best_metric="reward/mean"), range(1, 11))
    assert names(scene.run) == ["step_10", "step_6"]


@pytest.mark.parametrize("unknown", [2, 4, 6, 8])
def test_a_metric_that_is_no_number_makes_no_checkpoint_the_best(scene, unknown):
    scores = {2: 0.5, 4: 0.4, 6: 0.6, 8: 0.7} | {unknown: float("nan")}
    best = 6 if unknown == 8 else 8
    go(scene.archive(every=2, keep_last=1, keep_best=1), range(1, 11), scene.recorder, scores)
    assert names(scene.run) == ["step_10", f"step_{best}"]


def test_there_are_never_more_than_asked_for_and_the_one_being_written(scene):
    archive = scene.archive(every=1, keep_last=2, keep_best=0)

    async def run() -> None:
        for step in range(1, 11):
            await archive.keep(Progress(step=step, position=0))
            assert len(names(scene.run)) <= 4
        await archive.close()

    asyncio.run(run())
    assert names(scene.run) == ["step_10", "step_9"]


def test_a_run_that_goes_on_prunes_what_it_found(scene):
    for step in (2, 4):
        write_checkpoint(scene.run, step)
    go(scene.archive(first=4, every=2, keep_last=2, keep_best=0), range(5, 11))
    assert scene.steps_taken == [6, 8, 10]
    assert names(scene.run) == ["step_10", "step_8"]


def test_a_damaged_checkpoint_is_replaced_when_its_step_comes_again(scene):
    write_checkpoint(scene.run, 4)
    damage(write_checkpoint(scene.run, 6))
    go(scene.archive(first=4, num_steps=6, every=2), range(5, 7))
    assert read_checkpoint(scene.run / "checkpoints/step_6").record.progress == Progress(step=6, position=12)


MORE_THAN_ANY_DISK = 10**18


def needs(run: Path) -> str:
    needed = f"{MORE_THAN_ANY_DISK + RESERVE_BYTES:,}"
    return rf"^output={run}: its disk has [\d,]+ bytes free, and a checkpoint with .* needs {needed}; make room there"


def test_a_checkpoint_for_which_there_is_no_room_is_not_begun_and_the_one_before_stays(scene):
    archive = scene.archive(every=2)

    async def run() -> None:
        await archive.keep(Progress(step=2, position=4))
        scene.learners.num_bytes = MORE_THAN_ANY_DISK
        await archive.keep(Progress(step=4, position=8))

    with pytest.raises(RunFailure, match=needs(scene.run)):
        asyncio.run(run())
    assert (scene.steps_taken, names(scene.run)) == ([2], ["step_2"])


def test_a_run_does_not_begin_without_room_for_a_checkpoint(scene):
    asyncio.run(scene.archive().open())
    scene.learners.num_bytes = MORE_THAN_ANY_DISK
    with pytest.raises(RunFailure, match=needs(scene.run)):
        asyncio.run(scene.archive().open())


def test_nothing_is_saved_into_a_new_folder_at_the_place_of_one_that_was_moved(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    archive = Scene(folder).archive(every=2)
    folder.rename(tmp_path / "aside")
    folder.mkdir()
    with pytest.raises(RunFailure, match="was moved"):
        asyncio.run(archive.keep(Progress(step=2, position=4)))
    assert list(folder.iterdir()) == []
